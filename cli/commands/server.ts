import { Server } from "../../lib/zmq/server.ts";
import examples from "../cheats/server.md" with { type: "text" };
import { command } from "../command.ts";
import { routed, routingAction } from "../routing_command.ts";

export default command({
  argument: ["[endpoint...]", "where to listen; > in front connects"],
  options: routed,
  examples,
  action(values, operands) {
    return routingAction("server", values, operands, (options) => new Server(options));
  },
});
