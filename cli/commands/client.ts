import { Client } from "../../lib/zmq/types/client.ts";
import examples from "../cheats/client.md" with { type: "text" };
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
      socket: (options) => new Client(options),
    });
  },
});
