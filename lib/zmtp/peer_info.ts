import type { Mechanism } from "./mechanisms/mechanism.ts";

/** What a peer declared in its handshake. */
export interface PeerInfo {
  /** The peer's socket type, as it named it. */
  readonly socketType: string;
  /** The peer's routing id; empty if it has none. */
  readonly identity: Uint8Array;
  /** The peer's ZMTP version; `none` if messages arrive as datagrams. */
  readonly version: "3.1" | "3.0" | "2.0" | "none";
  /** The security mechanism of the connection. */
  readonly mechanism: Mechanism["name"];
  /** The user id that the ZAP handler returned; empty if no handler was called. */
  readonly userId: string;
}
