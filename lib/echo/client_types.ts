import type { ConnectOptions } from "../transport/stream.ts";

/** Default time limit for connecting, in milliseconds. */
export const CONNECT_TIMEOUT = 10_000;

/** The largest datagram, in bytes: 65535 less the headers of IPv4 (20) and UDP (8). */
export const MAX_DATAGRAM = 65_507;

/** Options of `connectEcho`. */
export interface EchoClientOptions extends ConnectOptions {
  /** Called with the bytes that come back. `chunk` is valid only during the call. */
  readonly onData: (chunk: Uint8Array) => void;
  /** Called when there is room again after a `send` that returned false. */
  readonly onDrain?: (() => void) | undefined;
  /** Time limit for connecting, in milliseconds. Default: 10 000. */
  readonly connectTimeout?: number | undefined;
  /**
   * Closes the client when an echo is due and no byte moves for this time, in milliseconds. Default: 3000 for udp, no limit
   * for the others.
   */
  readonly timeout?: number | undefined;
}

/** A connection to an echo server. */
export interface EchoClient extends AsyncDisposable {
  /** The peer's address, in the form of an endpoint. */
  readonly remote: string;
  /** How many bytes the system has taken. */
  readonly sent: number;
  /** How many bytes came back. */
  readonly received: number;
  /**
   * Resolves when the conversation is over, and never rejects: to undefined when the peer ended it and all was sent (udp:
   * when every datagram came back), else to the cause. The cause is a `TimeoutError` after `timeout`.
   */
  readonly closed: Promise<Error | undefined>;
  /**
   * Sends a copy of `bytes`; over udp they are one datagram.
   *
   * @returns whether there is room for more; if not, wait for `onDrain`
   * @throws {LimitError} a datagram is over 65507 bytes
   * @throws {ClosedError} `end` was called before
   */
  send(bytes: Uint8Array): boolean;
  /** Ends our half once everything is sent. */
  end(): void;
  /** Stops `onData` until `resume`, which slows the peer down. */
  pause(): void;
  /** Continues after `pause`. */
  resume(): void;
  /** Closes the connection at once. */
  close(cause?: Error): void;
}
