/** What happens to a socket's endpoints and peers; `endpoint` is always in its long form. */
export type SocketEvent =
  /** Bound; the endpoint has the real port. */
  | { readonly type: "listening"; readonly endpoint: string }
  /** A peer is ready. `endpoint` is what was dialed, or the address of a peer that dialed. */
  | {
    readonly type: "connected";
    readonly endpoint: string;
    readonly socketType: string;
    readonly version: string;
    readonly mechanism: "NULL" | "PLAIN" | "CURVE";
    /** Who the peer is by its credentials; empty where nobody asked. */
    readonly userId: string;
  }
  /** A peer was there, but the handshake failed. `dialed` when we connected to it, and not it to us. */
  | {
    readonly type: "handshake-failed";
    readonly endpoint: string;
    readonly error: Error;
    readonly dialed: boolean;
  }
  /** A ready peer is gone; `error` when it did not say goodbye. */
  | { readonly type: "disconnected"; readonly endpoint: string; readonly error: Error | undefined }
  /** Nobody answers; the next attempt comes in `delay` milliseconds. */
  | {
    readonly type: "retrying";
    readonly endpoint: string;
    readonly error: Error | undefined;
    readonly delay: number;
  }
  /** A peer subscribed or cancelled (PUB, XPUB), or joined or left a group (RADIO). */
  | {
    readonly type: "subscription";
    readonly endpoint: string;
    readonly topic: Uint8Array;
    readonly subscribe: boolean;
  }
  /** A peer's queue is full, and messages for it are dropped until it has room again (PUB, ROUTER and their kin). */
  | { readonly type: "dropping"; readonly endpoint: string }
  /** A message was dropped, since no peer has the routing id that it begins with (ROUTER, SERVER). */
  | { readonly type: "unroutable"; readonly routingId: Uint8Array }
  /** The peer that was asked went away before its reply; the request is sent again (REQ). */
  | { readonly type: "request-again"; readonly endpoint: string };
