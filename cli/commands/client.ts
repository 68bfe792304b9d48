import { Client } from "../../lib/zmq/client.ts";
import examples from "../cheats/client.md" with { type: "text" };
import { command } from "../command.ts";
import { conversation } from "../conversing.ts";
import { conversing } from "../options.ts";

export default command({
  argument: ["[endpoint...]", "where to connect; @ in front binds"],
  options: { ...conversing },
  examples,
  action(values, operands) {
    return conversation("client", values, operands, {
      usual: "connect",
      socket: (options) => new Client(options),
    });
  },
});
