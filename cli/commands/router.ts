import { Router } from "../../lib/zmq/types/router.ts";
import examples from "../cheats/router.md" with { type: "text" };
import { command, flag, group } from "../app/command.ts";
import { identity as routingId, probing } from "../options/options.ts";
import { routed, routingAction } from "../zmq/route.ts";

const addressing = group("Delivery", {
  mandatory: flag(
    "--mandatory",
    "fail (exit 4) when no peer has the routing id of a message, and wait for a full peer",
  ),
  handover: flag("--handover", "let a new peer take over a routing id that is in use"),
});

export default command({
  argument: ["[endpoint...]", "where to listen; > in front connects"],
  options: { ...routed, ...addressing, ...routingId, ...probing },
  examples,
  action(invocation) {
    const { identity, mandatory, handover, probeRouter: probe } = invocation.values;
    return routingAction(invocation, (options) => {
      return new Router({ ...options, identity, mandatory, handover, probe });
    });
  },
});
