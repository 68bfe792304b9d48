import { ClosedError, UnreachableError } from "../errors.ts";
import { type Endpoint, formatEndpoint } from "../transport/endpoint.ts";
import type { ByteStream, StreamSink, TransportOptions } from "../transport/stream.ts";
import { connect } from "../transport/transport.ts";
import { MAX_TIMER } from "../transport/waiting.ts";
import { InactivityTimer } from "./inactivity.ts";
import { echoableEndpoint } from "./endpoint.ts";
import { WriteBuffer } from "./write_buffer.ts";

/** How long connecting may take, unless told, in milliseconds. */
export const CONNECT_TIMEOUT = 10_000;

/** The largest datagram, in bytes: 65535 less the headers of IPv4 (20) and UDP (8). */
export const MAX_DATAGRAM = 65_507;

/** How to connect, and where the echo goes. */
export interface EchoClientOptions extends TransportOptions {
  /** Bytes came back. `chunk` is valid only during the call. */
  readonly onData: (chunk: Uint8Array) => void;
  /** After a `send` that returned false: there is room again. */
  readonly onDrain?: (() => void) | undefined;
  /** How long connecting may take, in milliseconds; 10 s unless told. */
  readonly connectTimeout?: number | undefined;
  /** Ends the connecting; its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
  /** Give up when the peer owes something and lets nothing through for so many milliseconds; udp: 3 s unless told. */
  readonly timeout?: number | undefined;
}

/** A connection to an echo server. */
export interface EchoClient {
  /** The other end, in the form of an endpoint. */
  readonly remote: string;
  /** How many bytes were handed to the system. */
  readonly sent: number;
  /** How many bytes came back. */
  readonly received: number;
  /**
   * Resolves when the conversation is over, and never rejects: to undefined when the peer ended it and all was sent, for
   * udp when every datagram came back, else to the cause; giving up after `timeout` is a `TimeoutError`.
   */
  readonly closed: Promise<Error | undefined>;
  /**
   * Takes a copy of `bytes`; for udp they are one datagram.
   *
   * @returns whether there is room for more; if not, wait for `onDrain`
   * @throws {LimitError} a datagram is over 65507 bytes
   */
  send(bytes: Uint8Array): boolean;
  /** The input is over: ends our half once everything was sent. */
  end(): void;
  /** Stops `onData` until `resume`, so that the peer is held back. */
  pause(): void;
  resume(): void;
  /** Breaks off at once. */
  close(cause?: Error): void;
}

/**
 * Connects to an echo server, or to any other program that speaks over a socket.
 *
 * @throws {UnreachableError} nobody listens there, or not in time
 * @throws {EndpointError} the endpoint is of a kind that cannot be connected to
 *
 * @example One line there and back
 * ```ts
 * import { connectEcho, parseEndpoint, serveEcho } from "../../mod.ts";
 * const server = await serveEcho(parseEndpoint(":0"), { once: true });
 * const client = await connectEcho(parseEndpoint(server.endpoint), {
 *   onData: (chunk) => console.assert(new TextDecoder().decode(chunk) === "Hello, world"),
 * });
 * client.send(new TextEncoder().encode("Hello, world"));
 * client.end();
 * console.assert(await client.closed === undefined);
 * ```
 */
export async function connectEcho(
  endpoint: string | Endpoint,
  options: EchoClientOptions,
): Promise<EchoClient> {
  const target = echoableEndpoint(endpoint);
  if (target.scheme === "udp") return (await import("./udp_client.ts")).connectUdpEcho(target, options);
  const { connectTimeout = CONNECT_TIMEOUT, signal } = options;
  const late = AbortSignal.timeout(Math.min(connectTimeout, MAX_TIMER));
  try {
    const stream = await connect(target, {
      ...options,
      signal: signal === undefined ? late : AbortSignal.any([signal, late]),
    });
    return new StreamEchoClient(stream, options);
  } catch (error) {
    if (error !== late.reason) throw error;
    const text = `Cannot connect to ${formatEndpoint(target)}: no answer within ${connectTimeout} ms`;
    throw new UnreachableError(text, { cause: error });
  }
}

class StreamEchoClient implements EchoClient, StreamSink {
  readonly remote: string;
  readonly closed: Promise<Error | undefined>;
  received = 0;

  readonly #stream: ByteStream;
  readonly #options: EchoClientOptions;
  readonly #out: WriteBuffer;
  readonly #inactivity: InactivityTimer | undefined;
  /** How many bytes were given to us, so how many are to come back. */
  #given = 0;
  #full = false;
  #ended = false;
  #paused = false;
  #over = false;

  constructor(stream: ByteStream, options: EchoClientOptions) {
    this.remote = stream.remote;
    this.closed = stream.closed;
    this.#stream = stream;
    this.#options = options;
    this.#out = new WriteBuffer(stream);
    const { timeout } = options;
    if (timeout !== undefined) {
      const expire = () => this.close(new DOMException(`Nothing came for ${timeout} ms`, "TimeoutError"));
      this.#inactivity = new InactivityTimer(timeout, expire, () => this.#waiting);
    }
    stream.closed.then(() => {
      this.#over = true;
      this.#inactivity?.stop();
    });
    stream.attach(this);
  }

  get sent(): number {
    return this.#out.written;
  }

  /** Whether it is the peer's turn: not while our own side holds the echo back, or has asked for nothing. */
  get #waiting(): boolean {
    return !this.#paused && (this.#ended || !this.#out.empty || this.received < this.#given);
  }

  send(bytes: Uint8Array): boolean {
    if (this.#ended) throw new ClosedError("Cannot send after the end of the input");
    if (this.#over || bytes.length === 0) return !this.#over;
    this.#inactivity?.touch();
    this.#given += bytes.length;
    this.#full = !this.#out.push(bytes);
    return !this.#full;
  }

  end(): void {
    if (this.#ended || this.#over) return;
    this.#inactivity?.touch();
    this.#ended = true;
    this.#out.end();
  }

  pause(): void {
    this.#paused = true;
    this.#stream.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#inactivity?.touch();
    this.#stream.resume();
  }

  close(cause?: Error): void {
    this.#stream.close(cause);
  }

  onData(chunk: Uint8Array): void {
    this.#inactivity?.touch();
    this.received += chunk.length;
    this.#options.onData(chunk);
  }

  onDrain(): void {
    this.#inactivity?.touch();
    this.#out.onDrain();
    if (!this.#full) return;
    this.#full = false;
    this.#options.onDrain?.();
  }

  /** The peer ended its half: no echo can come any more, and what we still had to say has no listener. */
  onEnd(): void {
    const unsent = this.#given - this.#out.written;
    this.#stream.close(
      unsent === 0 ? undefined : new UnreachableError(`The peer left ${unsent} bytes unread`),
    );
  }
}
