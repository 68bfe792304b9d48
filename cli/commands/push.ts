import { Push } from "../../lib/zmq/push.ts";
import examples from "../cheats/push.md" with { type: "text" };
import { command } from "../command.ts";
import { open, planEndpoints } from "../endpoints.ts";
import { conflatedDelivery, delivery, diagnostics, ending, input, pacing, zeromq } from "../options.ts";
import { repeats } from "../pacer.ts";
import { sendAll } from "../sending.ts";
import { Session } from "../session.ts";
import { socketOptions } from "../socket_options.ts";
import { sourceOf } from "../source.ts";

export default command({
  argument: ["[endpoint...]", "where to connect; @ in front binds"],
  options: { ...zeromq, ...input, ...ending, ...pacing, ...delivery, ...conflatedDelivery, ...diagnostics },
  examples,
  action(values, operands) {
    const plan = planEndpoints("push", "connect", values, operands);
    const source = sourceOf(values, repeats(values));
    const session = new Session("push", values);
    return session.run(async () => {
      const socket = new Push({
        ...socketOptions(session, values),
        hwm: values.hwm,
        conflate: values.conflate,
      });
      await open(session, socket, plan);
      const awaited = {
        wanted: values.waitPeers ?? 0,
        count: () => socket.peers,
        asked: values.waitPeers !== undefined,
      };
      await sendAll(session, socket, source, values, awaited);
    });
  },
});
