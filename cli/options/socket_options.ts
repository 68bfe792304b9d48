import type { SocketOptions } from "../../lib/zmq/options.ts";
import type { Values } from "../app/command.ts";
import { describeEvents } from "./endpoints.ts";
import type { socket } from "./options.ts";
import { securityOf } from "./security.ts";
import { readTls } from "./tls.ts";
import type { Session } from "../app/session.ts";

/**
 * What the options that all ZeroMQ commands share say of the socket.
 *
 * @throws {UsageError} the security options are wrong
 */
export function socketOptions(session: Session, values: Values<typeof socket>): SocketOptions {
  return {
    heartbeat: values.heartbeat === undefined ? undefined : { interval: values.heartbeat },
    security: securityOf(session, values),
    tls: readTls(values),
    origins: values.origin,
    onEvent: describeEvents(session),
  };
}
