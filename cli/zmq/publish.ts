import type { FanOutOptions } from "../../lib/zmq/outgoing/fan_out.ts";
import type { SocketOptions } from "../../lib/zmq/options.ts";
import type { Sender } from "../../lib/zmq/sender.ts";
import { utf8 } from "../../lib/zmtp/bytes.ts";
import type { Invocation } from "../app/command.ts";
import { open, planEndpoints } from "../options/endpoints.ts";
import { conflatedDelivery, delivery, ending, input, pacing, zeromq } from "../options/options.ts";
import { repeats } from "../io/pacer.ts";
import { PATIENCE_MS, sendAll, SLOW_SUBSCRIBERS, tellDropped } from "./send.ts";
import { socketOptions } from "../options/socket_options.ts";
import { sourceOf } from "../io/source.ts";

/** What the commands have that send each message to all who want it. */
export const publishing = {
  ...zeromq,
  ...input,
  ...ending,
  ...pacing,
  ...delivery,
  ...conflatedDelivery,
};

/** A socket that sends each message to all who want it. */
export type Publisher = Sender & { readonly subscribers: number; readonly dropped: number };

/** Publishes the messages of the input, each with its topic or group as the first frame. */
export async function publish(
  { session, values, operands }: Invocation<typeof publishing>,
  rule: { readonly topic: string | undefined; readonly separator: string | undefined },
  make: (options: SocketOptions & FanOutOptions) => Publisher,
): Promise<void> {
  const plan = planEndpoints(session.command, "bind", values, operands);
  const source = sourceOf(values, repeats(values), {
    topic: rule.topic === undefined ? undefined : utf8(rule.topic),
    separator: rule.separator === undefined ? undefined : utf8(rule.separator),
  });
  const socket = make({
    ...socketOptions(session, values),
    hwm: values.hwm,
    conflate: values.conflate,
    ...whenFull(values),
  });
  await open(session, socket, plan);
  // The socket drops for one subscriber at a time, so the sending itself only ever waits.
  const onFull = values.onFull === "fail" ? "fail" : "block";
  try {
    await sendAll(session, socket, source, { ...values, onFull }, subscribersOf(socket, values.waitPeers));
  } finally {
    tellDropped(session, socket.dropped, SLOW_SUBSCRIBERS);
  }
}

/** What `--on-full` says of one subscriber: a command waits a moment before it drops. */
export function whenFull(
  { onFull }: { readonly onFull: "block" | "drop" | "fail" | undefined },
): FanOutOptions {
  return { onFull: onFull === "block" || onFull === "fail" ? "block" : "drop", dropAfter: PATIENCE_MS };
}

/** Whom a publisher waits for: one subscriber, unless told. */
export function subscribersOf(socket: { readonly subscribers: number }, waitPeers: number | undefined) {
  return { wanted: waitPeers ?? 1, count: () => socket.subscribers, asked: waitPeers !== undefined };
}
