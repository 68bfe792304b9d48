import { Pair } from "../../lib/zmq/types/pair.ts";
import examples from "../cheats/pair.md" with { type: "text" };
import { command } from "../app/command.ts";
import { conversing } from "../options/options.ts";
import { conversation } from "../zmq/converse.ts";

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
