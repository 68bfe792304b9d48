import type { ZmtpConnection } from "../zmtp/connection.ts";
import type { SocketOptions } from "./options.ts";

/** What a socket that may meet a ROUTER can be told besides. */
export interface ProbingOptions extends SocketOptions {
  /**
   * Whether every new peer is sent an empty message at once, so that a ROUTER at the other end knows that we are there
   * (libzmq's ZMQ_PROBE_ROUTER). False unless told.
   */
  readonly probe?: boolean | undefined;
}

/** Flags, and a length of 0. */
const PROBE = Uint8Array.of(0, 0);

/** Sends an empty message. */
export function sendProbe(connection: ZmtpConnection): void {
  connection.outbox.appendEncoded(PROBE, 1);
  connection.outbox.flush();
}
