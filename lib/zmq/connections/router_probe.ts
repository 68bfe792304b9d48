import type { ZmtpConnection } from "../../zmtp/connection.ts";
import type { SocketOptions } from "../options.ts";

/** Options of the sockets that can announce themselves to a ROUTER: DEALER, REQ and ROUTER. */
export interface ProbingOptions extends SocketOptions {
  /**
   * Whether to send an empty message to every new peer, so that a ROUTER peer learns about this socket
   * (ZMQ_PROBE_ROUTER). Default: false.
   */
  readonly probe?: boolean | undefined;
}

/** A short frame: flags and a length of 0. */
const PROBE = Uint8Array.of(0, 0);

/** Sends an empty message. */
export function sendProbe(connection: ZmtpConnection): void {
  connection.outbox.appendEncoded(PROBE, 1);
  connection.outbox.flush();
}
