import type { Mechanism } from "./mechanisms/mechanism.ts";
import type { SocketType } from "./socket_type.ts";

/** What our side declares in a handshake, and how long the handshake may take. */
export interface HandshakeOptions {
  /** Our socket type. */
  readonly socketType: SocketType;
  /** The routing id by which a ROUTER peer addresses us. Default: empty. */
  readonly identity?: Uint8Array;
  /** Whether our side opened the connection. Default: false. */
  readonly dialed?: boolean;
  /** The security mechanism. Default: NULL. */
  readonly security?: Mechanism | undefined;
  /** The limit for the whole handshake, in milliseconds. */
  readonly timeout: number;
}
