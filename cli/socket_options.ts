import type { SocketOptions } from "../lib/zmq/options.ts";
import type { Values } from "./command.ts";
import { describeEvents } from "./endpoints.ts";
import type { zeromq } from "./options.ts";
import type { Session } from "./session.ts";

/** What the options that all ZeroMQ commands share say of the socket. */
export function socketOptions(session: Session, values: Values<typeof zeromq>): SocketOptions {
  return {
    heartbeat: values.heartbeat === undefined ? undefined : { interval: values.heartbeat },
    onEvent: describeEvents(session),
  };
}
