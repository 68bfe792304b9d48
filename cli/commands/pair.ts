import { Pair } from "../../lib/zmq/types/pair.ts";
import examples from "../cheats/pair.md" with { type: "text" };
import { command } from "../app/command.ts";
import { conversation } from "../zmq/converse.ts";
import { conversing } from "../options/options.ts";

export default command({
  argument: ["[endpoint...]", "where to connect; @ in front binds"],
  options: { ...conversing },
  examples,
  action(invocation) {
    return conversation(invocation, {
      usual: "connect",
      socket: (options) => new Pair(options),
    });
  },
});
