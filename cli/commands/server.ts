import { Server } from "../../lib/zmq/types/server.ts";
import examples from "../cheats/server.md" with { type: "text" };
import { command } from "../app/command.ts";
import { routed, routingAction } from "../zmq/route.ts";

export default command({
  argument: ["[endpoint...]", "where to listen; > in front connects"],
  options: routed,
  examples,
  action(invocation) {
    return routingAction(invocation, (options) => new Server(options));
  },
});
