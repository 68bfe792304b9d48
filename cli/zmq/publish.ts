import type { SocketOptions } from "../../lib/zmq/options.ts";
import type { FanOutOptions } from "../../lib/zmq/outgoing/fan_out.ts";
import type { Sender } from "../../lib/zmq/sender.ts";
import { utf8 } from "../../lib/zmtp/bytes.ts";
import type { Invocation } from "../app/command.ts";
import { reportDropped } from "../app/tally.ts";
import { repeats } from "../io/pacer.ts";
import { sourceOf } from "../io/source.ts";
import { planEndpoints } from "../options/endpoints.ts";
import { conflatedDelivery, delivery, ending, input, pacing, zeromq } from "../options/options.ts";
import { sendAll } from "./send.ts";
import { fanOutOptions, open, socketOptions, subscribersOf } from "./socket.ts";

/** The options of the commands that send each message to all subscribers. */
export const publishing = {
  ...zeromq,
  ...input,
  ...ending,
  ...pacing,
  ...delivery,
  ...conflatedDelivery,
};

/** The recipients that a publisher drops messages for. */
export const SLOW_SUBSCRIBERS = "subscribers that did not keep up";

/** A socket that sends each message to all subscribers. */
export type PublishingSocket = Sender & { readonly subscribers: number; readonly dropped: number };

/** Publishes the messages of the input, each with its topic or group as the first frame. */
export async function publish(
  { session, values, operands }: Invocation<typeof publishing>,
  rule: { readonly topic: string | undefined; readonly separator: string | undefined },
  make: (options: SocketOptions & FanOutOptions) => PublishingSocket,
): Promise<void> {
  const plan = planEndpoints(session.command, "bind", values, operands);
  const source = sourceOf(session, values, repeats(values), {
    topic: rule.topic === undefined ? undefined : utf8(rule.topic),
    separator: rule.separator === undefined ? undefined : utf8(rule.separator),
  });
  const socket = make({
    ...await socketOptions(session, values),
    hwm: values.hwm,
    conflate: values.conflate,
    ...fanOutOptions(values),
  });
  await open(session, socket, plan);
  // The socket drops messages for single subscribers, so `send` itself only waits.
  const onFull = values.onFull === "fail" ? "fail" : "block";
  try {
    await sendAll(session, socket, source, { ...values, onFull }, subscribersOf(socket, values.waitPeers));
  } finally {
    reportDropped(session, socket.dropped, SLOW_SUBSCRIBERS);
  }
}
