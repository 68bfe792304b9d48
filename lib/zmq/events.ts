/**
 * An event of a socket's endpoints and peers; `endpoint` is always in its long form.
 *
 * @example Log the peers of a socket
 * ```ts
 * import { Pull, Push, type SocketEvent } from "@mqcat/mqcat";
 *
 * const connected: string[] = [];
 * const onEvent = (event: SocketEvent) => {
 *   if (event.type === "connected") connected.push(event.endpoint);
 * };
 * await using pull = new Pull({ onEvent });
 * await using push = new Push();
 * push.connect(await pull.bind("tcp://127.0.0.1:0"));
 * await push.send("work");
 * await pull.receive();
 * console.assert(connected.length === 1);
 * ```
 */
export type SocketEvent =
  /** The socket listens at an endpoint, which has the real port. */
  | { readonly type: "listening"; readonly endpoint: string }
  /** A peer is ready. `endpoint` is the endpoint that was connected to, or the address of an incoming connection. */
  | {
    readonly type: "connected";
    readonly endpoint: string;
    readonly socketType: string;
    readonly version: string;
    readonly mechanism: "NULL" | "PLAIN" | "CURVE";
    /** The user that the credentials of the peer belong to; empty without authentication. */
    readonly userId: string;
  }
  /** A handshake failed. `dialed` is true for an outgoing connection and false for an incoming one. */
  | {
    readonly type: "handshake-failed";
    readonly endpoint: string;
    readonly error: Error;
    readonly dialed: boolean;
  }
  /** A connection is established, and the peer has not completed the handshake for 2 s; the socket waits further. */
  | { readonly type: "waiting"; readonly endpoint: string }
  /** A ready peer has disconnected; `error` is set unless it closed the connection in order. */
  | { readonly type: "disconnected"; readonly endpoint: string; readonly error: Error | undefined }
  /** A connection attempt failed or the connection was lost; the next attempt follows in `delay` milliseconds. */
  | {
    readonly type: "retrying";
    readonly endpoint: string;
    readonly error: Error | undefined;
    readonly delay: number;
  }
  /** A peer subscribed or unsubscribed (PUB, XPUB), or joined or left a group (RADIO). */
  | {
    readonly type: "subscription";
    readonly endpoint: string;
    readonly topic: Uint8Array;
    readonly subscribe: boolean;
  }
  /** A peer's queue is full; messages for it are dropped until it has room (PUB, XPUB, RADIO, ROUTER, SERVER). */
  | { readonly type: "dropping"; readonly endpoint: string }
  /** A message was dropped because no peer has its routing id (ROUTER, SERVER). */
  | { readonly type: "unroutable"; readonly routingId: Uint8Array }
  /** Several peers take the same routing id over from each other again and again (ROUTER with `handover`). */
  | { readonly type: "contested"; readonly routingId: Uint8Array }
  /** A peer disconnected before its reply; the request is sent again (REQ). */
  | { readonly type: "request-again"; readonly endpoint: string };
