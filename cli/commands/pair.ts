import { Pair } from "../../lib/zmq/pair.ts";
import examples from "../cheats/pair.md" with { type: "text" };
import { command } from "../command.ts";
import { conversation } from "../conversing.ts";
import { conversing } from "../options.ts";

export default command({
  argument: ["[endpoint...]", "where to connect; @ in front binds"],
  options: { ...conversing },
  examples,
  action(values, operands) {
    return conversation("pair", values, operands, {
      usual: "connect",
      socket: (options) => new Pair(options),
    });
  },
});
