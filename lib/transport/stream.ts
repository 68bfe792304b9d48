import type { SourceAddress } from "./endpoint_types.ts";

/** Receives the events of a byte stream. None of the calls may throw. */
export interface StreamSink {
  /** Bytes arrived. `chunk` is valid only during the call: its buffer is reused. */
  onData(chunk: Uint8Array): void;
  /** The peer ended its half. */
  onEnd(): void;
  /** The system has taken the bytes lent to the last `write`; the next write may follow. */
  onDrain(): void;
  /**
   * Returns a buffer for the next read, so that the bytes need not be copied to their place; `onData` gets the part that
   * was filled. Without one, the stream uses its own. Not every stream asks.
   */
  space?(): Uint8Array | undefined;
}

/**
 * A connected, full-duplex stream of bytes. Its owner writes one block at a time; batches, queues and their limits are
 * the owner's.
 */
export interface ByteStream {
  /** The local address, in the form of an endpoint. */
  readonly local: string;
  /** The peer's address, in the form of an endpoint. */
  readonly remote: string;
  /** The verified certificate of a client, in DER, if the listener has `requireClientCert`. */
  readonly peerCertificate?: Uint8Array | undefined;
  /**
   * Resolves when the stream is closed, which is also the case when both halves have ended: to the error that closed it,
   * or to undefined. It never rejects.
   */
  readonly closed: Promise<Error | undefined>;
  /** How many bytes of the current or the last `write` the system has certainly taken. */
  readonly taken: number;
  /**
   * Whether the peer's half has ended and only `pause` delays `onEnd`. Bytes that are written to a peer that has closed the
   * connection are lost. A stream that cannot know leaves it out.
   */
  readonly peerEnded?: boolean;
  /** Sends the events from now on to `sink`; the first call starts the reading. */
  attach(sink: StreamSink): void;
  /** Lends `bytes`, which must not be empty, until `onDrain`. Only one write may be in progress. */
  write(bytes: Uint8Array): void;
  /** Stops `onData` and `onEnd` until `resume`, so that TCP slows the peer down. */
  pause(): void;
  /** Continues after `pause`. */
  resume(): void;
  /** Ends our half once the write in progress is complete; reading continues. */
  end(): void;
  /** Closes both halves at once. Further calls do nothing. */
  close(cause?: Error): void;
}

/**
 * A stream that carries ZeroMQ's frames and no other bytes, such as a WebSocket (RFC 45). The two ends have agreed on the
 * security mechanism before the stream exists, so it begins without ZMTP's greeting. With `WebOptions.carries` a
 * WebSocket carries any bytes.
 */
export interface FrameStream extends ByteStream {
  /** The subprotocol that both ends agreed on, such as `ZWS2.0/NULL`. */
  readonly subprotocol: string;
  /** Asks the peer for a sign of life, which arrives as an `onData` without bytes. */
  ping(): void;
}

/** A bound endpoint that accepts streams. */
export interface Listener extends AsyncDisposable {
  /** The bound endpoint, with the port that the system chose. */
  readonly endpoint: string;
  /** Stops accepting; accepted streams stay open. Resolves when the address is free again. */
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
  /** Accepts any certificate of the peer. Default: false. */
  readonly insecure?: boolean;
  /**
   * A listener accepts only clients with a certificate that an authority in `ca` has issued, and which is valid now.
   * Default: false.
   */
  readonly requireClientCert?: boolean;
  /** Replaces the certificates above while they are in use. */
  readonly reload?: TlsReload;
}

/**
 * Replaces certificates while listeners run: new connections get the new ones, and others keep theirs.
 *
 * @example Renew the certificate of a listener
 * ```ts
 * import { listen, TlsReload } from "@mqcat/mqcat";
 *
 * async function serve(read: () => { cert: string; key: string }, renewed: Promise<void>) {
 *   const reload = new TlsReload();
 *   const listener = await listen("tls://*:5671", (stream) => stream.close(), { tls: { ...read(), reload } });
 *   await renewed;
 *   reload.replace(read());
 *   await listener.close();
 * }
 * ```
 */
export class TlsReload {
  /** The newest certificates; undefined before the first `replace`. */
  current: TlsOptions | undefined;

  readonly #listeners = new Set<(options: TlsOptions) => void>();

  /**
   * Replaces the certificates of all listeners and of later connections.
   *
   * @throws {EndpointError} a certificate or key cannot be read, or they do not belong together; nothing is replaced
   */
  replace(options: TlsOptions): void {
    for (const listener of this.#listeners) listener(options);
    this.current = options;
  }

  /** Adds a listener. @returns removes it */
  add(listener: (options: TlsOptions) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}

/** Options of the opening handshake of a WebSocket. */
export interface WebOptions {
  /** The subprotocols that we speak, the preferred one first. Default: `ZWS2.0/NULL` and `ZWS2.0`. */
  readonly protocols?: readonly string[] | undefined;
  /**
   * What the messages carry: ZeroMQ's frames, one in each, or a stream of bytes, in which their ends have no meaning.
   * Default: `frames`.
   */
  readonly carries?: "frames" | "bytes" | undefined;
  /** The largest message that is assembled from fragments, in bytes. Default: 1 GiB. */
  readonly maxMessage?: number | undefined;
  /**
   * Web pages that may connect to a listener, as origins such as `https://example.org`, or `*` for all. Pages of this
   * machine may always connect.
   */
  readonly origins?: readonly string[] | undefined;
}

/** Options of a listener, and of a connection where they apply. */
export interface TransportOptions {
  /** Certificates for `tls` and `wss`. */
  readonly tls?: TlsOptions;
  /** Options for `ws` and `wss`. */
  readonly web?: WebOptions;
  /** Called when a listener refuses a peer before there is a stream. It may not throw. */
  readonly onRefused?: (remote: string, error: Error) => void;
  /** Length of the queue of connections that wait to be accepted. Default: 100. */
  readonly backlog?: number;
}

/** Options of a connection. */
export interface ConnectOptions extends TransportOptions {
  /** Ends the attempt when it is aborted; its reason is thrown. It has no effect on a connected stream. */
  readonly signal?: AbortSignal | undefined;
  /** The only IP address to try, for TCP and TLS. Default: those of the host, in turn */
  readonly address?: string | undefined;
}

/**
 * The network of one runtime. A path may start with NUL: Linux's abstract namespace. `name` is the address of both ends
 * of a Unix socket.
 */
export interface Runtime {
  /** @param source the local address; host `0.0.0.0` and port 0 leave the choice to the system */
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

/** A listening socket of the system; `port` is 0 for Unix sockets. */
export interface RawListener {
  readonly port: number;
  close(): Promise<void>;
}
