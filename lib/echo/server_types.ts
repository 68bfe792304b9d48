import type { TransportOptions } from "../transport/stream.ts";

/** Default limit of simultaneous connections. */
export const MAX_CONNECTIONS = 1024;

/** An event of an echo server. */
export type EchoServerEvent =
  /** The server is bound; `endpoint` has the port that the system chose. */
  | { readonly type: "listening"; readonly endpoint: string }
  /** A client connected. */
  | { readonly type: "connected"; readonly remote: string }
  /** A connection is over after `bytes` bytes went back. `cause` is undefined when both ends ended it. */
  | {
    readonly type: "disconnected";
    readonly remote: string;
    readonly bytes: number;
    readonly cause: Error | undefined;
  }
  /** A connection was closed at once, because there were `limit` connections. */
  | { readonly type: "refused"; readonly remote: string; readonly limit: number }
  /** A datagram went back (udp). */
  | { readonly type: "echoed"; readonly remote: string; readonly bytes: number }
  /** A datagram did not go back (udp). */
  | { readonly type: "dropped"; readonly remote: string; readonly bytes: number; readonly cause: Error };

/** Options of `serveEcho`. */
export interface EchoServerOptions extends TransportOptions {
  /** Stops after one connection, or one datagram. Default: false. */
  readonly once?: boolean | undefined;
  /** Limit of simultaneous connections; a connection over it is closed at once. Default: 1024. Ignored for udp. */
  readonly maxConnections?: number | undefined;
  /**
   * Closes a connection after this time without a byte in either direction, in milliseconds. Default: no limit. Ignored
   * for udp.
   */
  readonly idleTimeout?: number | undefined;
  /** Called for each event. It may not throw. */
  readonly onEvent?: ((event: EchoServerEvent) => void) | undefined;
}

/** A running echo server. */
export interface EchoServer extends AsyncDisposable {
  /** The bound endpoint, with the port that the system chose. */
  readonly endpoint: string;
  /** Resolves when the address is free again and the last connection is over. It never rejects. */
  readonly closed: Promise<void>;
  /** Stops listening, and closes all connections at once. */
  close(): Promise<void>;
}
