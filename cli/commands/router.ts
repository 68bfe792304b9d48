import { Router } from "../../lib/zmq/types/router.ts";
import examples from "../cheats/router.md" with { type: "text" };
import { command, flag, group } from "../app/command.ts";
import { identity, probing } from "../options/options.ts";
import { routed, routingAction } from "../zmq/route.ts";

const addressing = group("Delivery", {
  mandatory: flag(
    "--mandatory",
    "end with 4 when nobody has the routing id of a message, and wait for a full peer",
  ),
  handover: flag("--handover", "let a new peer with a routing id that is taken have it"),
});

export default command({
  argument: ["[endpoint...]", "where to listen; > in front connects"],
  options: { ...routed, ...addressing, ...identity, ...probing },
  examples,
  action(values, operands) {
    const { mandatory, handover, probeRouter: probe } = values;
    return routingAction("router", values, operands, (options) => {
      return new Router({ ...options, identity: values.identity, mandatory, handover, probe });
    });
  },
});
