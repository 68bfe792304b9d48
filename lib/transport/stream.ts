import type { SourceAddress } from "./endpoint.ts";

/** What a byte stream tells its one consumer. None of the calls may throw. */
export interface StreamSink {
  /** Bytes arrived. `chunk` is valid only during the call: its buffer is reused. */
  onData(chunk: Uint8Array): void;
  /** The peer ended its half. */
  onEnd(): void;
  /** The bytes lent to the last `write` have been taken; the next write may come. */
  onDrain(): void;
}

/**
 * The seam between the runtimes and everything above: one connected, full-duplex stream of bytes. Its owner writes
 * one block at a time, so batching, queueing and their limits live above the seam, in one place.
 */
export interface ByteStream {
  /** This end, in the form of an endpoint. */
  readonly local: string;
  /** The other end, in the form of an endpoint. */
  readonly remote: string;
  /**
   * Resolves when the stream is closed, which it also is once both halves have ended: to the error that closed it, or to
   * undefined. It never rejects.
   */
  readonly closed: Promise<Error | undefined>;
  /**
   * What a WebSocket's two ends agreed to speak on it, `ZWS2.0/NULL` for example (RFC 45); undefined on any other
   * stream. ZMTP begins without its greeting there.
   */
  readonly subprotocol?: string;
  /** How many bytes of the current or last `write` the system has surely taken. */
  readonly taken: number;
  /** Directs what arrives from now on to `sink`; the first call starts the reading. */
  attach(sink: StreamSink): void;
  /** Lends `bytes` (not empty) until `onDrain`. Only one write may be under way. */
  write(bytes: Uint8Array): void;
  /** Stops `onData` and `onEnd` until `resume`, so that TCP holds the peer back. */
  pause(): void;
  resume(): void;
  /** Ends our half once the write under way is done; reading goes on. */
  end(): void;
  /** Asks the peer for a sign of life, which comes as an `onData` without bytes: on a WebSocket. */
  ping?(): void;
  /** Closes both halves at once. Further calls do nothing. */
  close(cause?: Error): void;
}

/** A bound endpoint that accepts streams. */
export interface Listener {
  /** The real endpoint, with the port that the system picked. */
  readonly endpoint: string;
  /** Stops accepting; streams that were accepted live on. Resolves when the address is free again. */
  close(): Promise<void>;
}

/** Certificates and keys in PEM. */
export interface TlsOptions {
  /** Certificate authorities to trust instead of the system's. */
  readonly ca?: string;
  /** Our certificate chain. */
  readonly cert?: string;
  /** The private key of `cert`. */
  readonly key?: string;
  /** Accept any certificate of the peer. */
  readonly insecure?: boolean;
}

/** What the two ends of a WebSocket tell each other when it begins. */
export interface WebOptions {
  /** The subprotocols that we speak, the preferred one first; `ZWS2.0/NULL` and `ZWS2.0` unless told. */
  readonly protocols?: readonly string[] | undefined;
  /** The largest message that is collected from fragments, in bytes; 1 GiB unless told. */
  readonly maxMessage?: number | undefined;
  /**
   * Web pages that may connect to a listener, as origins such as `https://example.org`, or `*`. Those of this machine
   * may always.
   */
  readonly origins?: readonly string[] | undefined;
}

/** How to connect or listen. */
export interface TransportOptions {
  readonly tls?: TlsOptions;
  readonly web?: WebOptions;
  /** A listener is told whom it refused before there was a stream, and why. It may not throw. */
  readonly onRefused?: (remote: string, error: Error) => void;
  /** Length of the queue of connections that wait to be accepted; 100 unless told. */
  readonly backlog?: number;
}

/**
 * One runtime's way to the network. Paths may start with NUL: Linux's abstract namespace. `name` is what both ends
 * of a Unix socket are called.
 */
export interface Runtime {
  /** @param source the address to connect from; `0.0.0.0` and port 0 leave it to the system */
  connectTcp(host: string, port: number, signal: AbortSignal, source?: SourceAddress): Promise<ByteStream>;
  connectUnix(path: string, name: string, signal: AbortSignal): Promise<ByteStream>;
  listenTcp(
    host: string,
    port: number,
    backlog: number,
    accept: (stream: ByteStream) => void,
  ): Promise<RawListener>;
  listenUnix(
    path: string,
    name: string,
    backlog: number,
    accept: (stream: ByteStream) => void,
  ): Promise<RawListener>;
}

/** A listening system socket; `port` is 0 for Unix sockets. */
export interface RawListener {
  readonly port: number;
  close(): Promise<void>;
}
