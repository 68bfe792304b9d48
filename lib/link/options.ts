import type { AwayError } from "./away.ts";
import type { Endpoint } from "../transport/endpoint_types.ts";
import type { ByteStream, TlsOptions } from "../transport/stream.ts";

/** An event of a connection to a broker. */
export type LinkEvent =
  /** A connection is established; `server` is the product and version of the broker. */
  | { readonly type: "connected"; readonly broker: string; readonly server: string }
  /** The connection was lost. A reconnect follows. */
  | { readonly type: "lost"; readonly broker: string; readonly error: Error }
  /** No host accepted the connection. The next attempt starts in `delay` milliseconds. */
  | { readonly type: "retrying"; readonly error: Error; readonly delay: number }
  /** The broker answers, but what is needed there is unavailable. Attempts follow, and this event may repeat. */
  | { readonly type: "away"; readonly error: AwayError }
  /** The node with the leader of a queue is not known, so the hosts are tried in their order: see `nearLeader`. */
  | { readonly type: "leaderless"; readonly error: Error }
  /** The broker accepts no messages for the given reason; undefined: it accepts messages again. */
  | { readonly type: "blocked"; readonly reason: string | undefined };

/** Options for connecting to brokers. */
export interface ClientOptions {
  /** Certificates for URLs with TLS, such as `amqps`. */
  readonly tls?: TlsOptions;
  /**
   * The time limit for connecting and logging in, for each host, in milliseconds. Default: 10000. It also limits
   * the requests after that, such as a subscription, whose default is 60000
   */
  readonly handshakeTimeout?: number | undefined;
  /**
   * The first and the longest pause before an attempt to reconnect, in milliseconds. The pause doubles after each
   * failure. Default: 100 and 5000
   */
  readonly reconnect?: { readonly first: number; readonly longest: number };
  /**
   * Whether the hosts of a list are tried in a random order, which spreads many clients over the hosts. Default: false, in
   * the order of the list
   */
  readonly shuffle?: boolean | undefined;
  /** The size limit for received messages, in bytes. Default: 128 MiB */
  readonly maxMessageSize?: number | undefined;
  /** Called for each event of a connection. It must not throw: an error of it ends the connections of the client. */
  readonly onEvent?: (event: LinkEvent) => void;
  /** Ends the first attempt to connect. The attempt then rejects with the reason of the signal. */
  readonly signal?: AbortSignal;
}

/** Orders the hosts of a list: the first one that accepts the connection is used. */
export type Order = <A extends { readonly endpoint: Endpoint }>(hosts: readonly A[]) => Promise<readonly A[]>;

/** Options of a link. */
export interface LinkOptions extends ClientOptions {
  /** Replaces the transport: returns a stream to the broker, which may have to be started first. */
  readonly dial?: ((signal: AbortSignal) => Promise<ByteStream>) | undefined;
  /** Orders the hosts before each attempt to connect, after `shuffle`. Default: as they are */
  readonly order?: Order | undefined;
  /** Replaces the resolver of host names: returns the IP addresses of a host. */
  readonly resolve?: ((host: string) => Promise<readonly string[]>) | undefined;
  /**
   * How long the first connection is attempted again after temporary errors, in milliseconds: for brokers that
   * restart often. Default: 0
   */
  readonly patience?: number | undefined;
  /**
   * How long the first connection is attempted again while what is needed there is unavailable, in milliseconds. After the
   * first connection there is no limit. Default: 0
   */
  readonly awayPatience?: number | undefined;
}
