import { Dealer } from "../../lib/zmq/dealer.ts";
import examples from "../cheats/dealer.md" with { type: "text" };
import { command } from "../command.ts";
import { conversation } from "../conversing.ts";
import { conversing, identity, probing } from "../options.ts";

export default command({
  argument: ["[endpoint...]", "where to connect; @ in front binds"],
  options: { ...conversing, ...identity, ...probing },
  examples,
  action(values, operands) {
    const { identity, probeRouter } = values;
    return conversation("dealer", values, operands, {
      usual: "connect",
      socket: (options) => new Dealer({ ...options, identity, probe: probeRouter }),
    });
  },
});
