import { Dealer } from "../../lib/zmq/types/dealer.ts";
import examples from "../cheats/dealer.md" with { type: "text" };
import { command } from "../app/command.ts";
import { conversing, identity, probing } from "../options/options.ts";
import { conversation } from "../zmq/converse.ts";

export default command({
  argument: ["[endpoint...]", "where to connect; @ in front binds"],
  options: { ...conversing, ...identity, ...probing },
  examples,
  action(invocation) {
    const { identity, probeRouter } = invocation.values;
    return conversation(invocation, {
      usual: "connect",
      socket: (options) => new Dealer({ ...options, identity, probe: probeRouter }),
    });
  },
});
