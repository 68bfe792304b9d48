import { HandshakeTimeoutError, ProtocolError, UnreachableError } from "../../errors.ts";
import type { ByteStream, StreamSink } from "../../transport/stream.ts";
import { amqpError } from "../amqp_error.ts";
import { METHOD } from "./frame.ts";
import { FrameDecoder, type FrameSink, type Role } from "./frame_decoder.ts";
import type { Method } from "../method_args.ts";
import { decodeMethod } from "../method_codec.ts";

/** What may come unasked during a handshake, in frames. */
const MAX_UNREAD = 100;

interface Frame {
  readonly type: number;
  readonly channel: number;
  readonly payload: Uint8Array;
}

/** Reads methods and writes bytes in linear code: for the handshake, where clarity counts and speed does not. */
export class FrameReader implements StreamSink, FrameSink {
  readonly decoder: FrameDecoder;

  readonly #stream: ByteStream;
  readonly #timer: ReturnType<typeof setTimeout>;
  #unread: Frame[] = [];
  #hasHeader = false;
  readonly #role: Role;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;
  #writing = false;
  /** Whether the peer ended its half, or the stream is closed. */
  #gone = false;

  /**
   * @param timeout for everything up to `handOver`, in milliseconds
   * @param role which end we are
   */
  constructor(stream: ByteStream, timeout: number, role: Role = "client") {
    this.#stream = stream;
    this.#role = role;
    this.decoder = new FrameDecoder(role, this);
    this.#timer = setTimeout(
      () => this.fail(new HandshakeTimeoutError(`The handshake did not finish within ${timeout / 1000} s`)),
      timeout,
    );
    stream.closed.then((cause) => {
      this.#gone = true;
      this.fail(cause ?? goodbye());
    });
    stream.attach(this);
  }

  onData(chunk: Uint8Array): void {
    if (this.#failure !== undefined) return;
    try {
      this.decoder.push(chunk);
    } catch (error) {
      this.fail(error as Error);
    }
    this.#wake?.();
  }

  onEnd(): void {
    this.#gone = true;
    this.fail(goodbye());
  }

  onDrain(): void {
    this.#writing = false;
    this.#wake?.();
  }

  onProtocolHeader(): void {
    this.#hasHeader = true; // The decoder of a client throws instead.
  }

  onFrame(type: number, channel: number, bytes: Uint8Array, start: number, end: number): void {
    if (this.#unread.length === MAX_UNREAD) throw new ProtocolError("The peer talks on without an answer");
    this.#unread.push({ type, channel, payload: bytes.slice(start, end) });
  }

  /** Waits for the client's protocol header; for a server. */
  async protocolHeader(): Promise<void> {
    while (!this.#hasHeader) {
      if (this.#failure !== undefined) throw this.#failure;
      await this.#change();
    }
  }

  /** The next method; heartbeats are passed over. What came before a failure is still read, and may say why. */
  async read(): Promise<Method> {
    for (;;) {
      const frame = this.#unread.shift();
      if (frame?.type === METHOD && frame.channel === 0) {
        return decodeMethod(frame.payload, 0, frame.payload.length);
      }
      if (frame !== undefined && frame.channel > 0 && this.#role === "server") {
        throw amqpError(505, `a frame of channel ${frame.channel} came before the connection was open`);
      }
      if (frame !== undefined) continue;
      if (this.#failure !== undefined) throw this.#failure;
      await this.#change();
    }
  }

  /** Writes, and waits until the system has taken it. */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    this.#writing = true;
    this.#stream.write(bytes);
    while (this.#writing) {
      await this.#change();
      // What the server says before it goes is worth more than that a write failed.
      if (this.#failure !== undefined && this.#unread.length === 0) throw this.#failure;
      if (this.#failure !== undefined) return;
    }
  }

  /** Writes a last word, even after a failure, and waits until the peer has gone or `fail` is called once more. */
  async sayLast(bytes: Uint8Array): Promise<void> {
    while (this.#writing && !this.#gone) await this.#change();
    if (this.#gone) return;
    this.#writing = true;
    this.#stream.write(bytes);
    while (this.#writing && !this.#gone) await this.#change();
    // The peer closes first: what it still has on the way would turn our end into a reset, and eat our last word.
    this.#stream.end();
    while (!this.#gone) await this.#change();
  }

  /** Ends the deadline and gives `sink` every frame from now on, those first that nobody read. */
  handOver(sink: FrameSink): void {
    clearTimeout(this.#timer);
    if (this.#failure !== undefined) throw this.#failure;
    this.decoder.sink = sink;
    for (const { type, channel, payload } of this.#unread.splice(0)) {
      sink.onFrame(type, channel, payload, 0, payload.length);
    }
  }

  /** Ends the handshake; the first reason counts. */
  fail(error: Error): void {
    clearTimeout(this.#timer);
    this.#failure ??= error;
    this.#wake?.();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#wake = resolve);
  }
}

function goodbye(): UnreachableError {
  return new UnreachableError("The peer closed the connection during the handshake");
}
