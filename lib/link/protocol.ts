import type { Endpoint } from "../transport/endpoint_types.ts";
import type { ByteStream } from "../transport/stream.ts";
import type { LinkEvent, LinkOptions } from "./options.ts";

/** The part of a broker's address that every protocol has. */
export interface Address {
  readonly endpoint: Endpoint;
  /** The time limit for connecting and logging in, in milliseconds. Default: that of the options */
  readonly connectionTimeout?: number | undefined;
}

/** A connection after its login. */
export interface Connection {
  /** Product and version of the server. */
  readonly server: string;
  /** Resolves to the error that closed the connection, or to undefined after `close`. It never rejects. */
  readonly closed: Promise<Error | undefined>;
  /**
   * Says goodbye as the protocol demands, and closes the stream.
   *
   * @param limit the time limit for the reply of the server, in milliseconds. Default: 2000
   */
  close(limit?: number): Promise<void>;
  /** Closes the stream at once. */
  abort(cause?: Error): void;
}

/** An attempt to connect to one broker, under one deadline. */
export interface Attempt {
  /** Opens a stream to the broker; it is closed when the attempt is aborted. A new one replaces the previous one. */
  dial(): Promise<ByteStream>;
  /** The time left, in whole milliseconds, at least 1. The login must end by then. */
  remaining(): number;
}

/** What a link must know of a protocol. */
export interface Protocol<A extends Address, C extends Connection> {
  /** Formats an address for messages and logs, without user and password. */
  format(address: A): string;
  /** Logs in. Closes the stream of the attempt on failure. */
  login(attempt: Attempt, address: A, options: LinkOptions): Promise<C>;
  /** Whether an error is permanent: the server would report it again after a reconnect. */
  isPermanent(error: unknown): boolean;
  /** Reports the events of a connection that only this protocol has. */
  watch?(connection: C, report: (event: LinkEvent) => void): void;
}
