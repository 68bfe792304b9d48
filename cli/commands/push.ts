import { Push } from "../../lib/zmq/types/push.ts";
import examples from "../cheats/push.md" with { type: "text" };
import { command } from "../app/command.ts";
import { repeats } from "../io/pacer.ts";
import { sourceOf } from "../io/source.ts";
import { placing } from "../options/broker.ts";
import { declaring, envelope } from "../options/brokers.ts";
import { brokerContext } from "../options/context.ts";
import { planEndpoints } from "../options/endpoints.ts";
import { conflatedDelivery, delivery, ending, input, pacing, zeromq } from "../options/options.ts";
import { brokerOperand } from "../options/systems.ts";
import { sendAll } from "../zmq/send.ts";
import { open, peersOf, socketOptions } from "../zmq/socket.ts";

/**
 * The high-water mark in bytes, without `--hwm`. The input waits anyway while the peers are busy, so longer queues would
 * only move the messages through more memory.
 */
const HWM_BYTES = 2 ** 20;

export default command({
  argument: [
    "[endpoint...]",
    "where to connect; @ in front binds; or the queue of a broker: amqp://host//queue, amqp:queue",
  ],
  options: {
    ...zeromq,
    ...input,
    ...ending,
    ...pacing,
    ...delivery,
    ...conflatedDelivery,
    ...envelope,
    ...declaring,
    ...placing,
    ...brokerContext,
  },
  examples,
  async action({ session, values, operands }) {
    const broker = brokerOperand(session.command, values, operands);
    if (broker !== undefined) {
      const { send } = await import("../brokers/send.ts");
      return await send(session, "push", broker, values);
    }
    const plan = planEndpoints(session.command, "connect", values, operands);
    const source = sourceOf(session, values, repeats(values));
    const socket = new Push({
      ...await socketOptions(session, values),
      hwm: values.hwm,
      hwmBytes: values.hwm === undefined ? HWM_BYTES : undefined,
      conflate: values.conflate,
    });
    await open(session, socket, plan);
    await sendAll(session, socket, source, values, peersOf(socket, values.waitPeers));
  },
});
