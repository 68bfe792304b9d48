import { HandshakeTimeoutError, ProtocolError, UnreachableError } from "../../errors.ts";
import type { ByteStream, StreamSink } from "../../transport/stream.ts";
import { amqpError } from "../amqp_error.ts";
import { METHOD } from "./frame.ts";
import { FrameDecoder, type FrameSink, type Role } from "./frame_decoder.ts";
import type { Method } from "../method_args.ts";
import { decodeMethod } from "../method_codec.ts";

/** The maximum number of unread frames during a handshake. */
const MAX_UNREAD = 100;

interface Frame {
  readonly type: number;
  readonly channel: number;
  readonly payload: Uint8Array;
}

/** Reads methods and writes bytes in linear code, for handshakes, which need clarity more than speed. */
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
  /** Whether the peer ended its half of the stream, or the stream is closed. */
  #gone = false;

  /**
   * @param timeout the time limit until `handOver`, in milliseconds
   * @param role the end of the connection that reads
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
    if (this.#unread.length === MAX_UNREAD) {
      throw new ProtocolError("The peer sent too many frames during the handshake");
    }
    this.#unread.push({ type, channel, payload: bytes.slice(start, end) });
  }

  /** Waits for the protocol header of the client; for a server. */
  async protocolHeader(): Promise<void> {
    while (!this.#hasHeader) {
      if (this.#failure !== undefined) throw this.#failure;
      await this.#change();
    }
  }

  /** Returns the next method and ignores heartbeats. Methods that arrived before a failure are still returned. */
  async read(): Promise<Method> {
    for (;;) {
      const frame = this.#unread.shift();
      if (frame?.type === METHOD && frame.channel === 0) {
        return decodeMethod(frame.payload, 0, frame.payload.length);
      }
      if (frame !== undefined && frame.channel > 0 && this.#role === "server") {
        throw amqpError(505, `received a frame for channel ${frame.channel} before connection.open`);
      }
      if (frame !== undefined) continue;
      if (this.#failure !== undefined) throw this.#failure;
      await this.#change();
    }
  }

  /** Writes bytes, and waits until the system has accepted them. */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    this.#writing = true;
    this.#stream.write(bytes);
    while (this.#writing) {
      await this.#change();
      // A method that the peer sent before closing explains more than the failed write.
      if (this.#failure !== undefined && this.#unread.length === 0) throw this.#failure;
      if (this.#failure !== undefined) return;
    }
  }

  /** Writes the last bytes, even after a failure, and waits until the peer closes or `fail` is called again. */
  async sayLast(bytes: Uint8Array): Promise<void> {
    while (this.#writing && !this.#gone) await this.#change();
    if (this.#gone) return;
    this.#writing = true;
    this.#stream.write(bytes);
    while (this.#writing && !this.#gone) await this.#change();
    // The peer closes first: its bytes in transit would turn our close into a reset, which discards our last bytes.
    this.#stream.end();
    while (!this.#gone) await this.#change();
  }

  /** Ends the time limit, and sends all frames to `sink` from now on, beginning with the unread ones. */
  handOver(sink: FrameSink): void {
    clearTimeout(this.#timer);
    if (this.#failure !== undefined) throw this.#failure;
    this.decoder.sink = sink;
    for (const { type, channel, payload } of this.#unread.splice(0)) {
      sink.onFrame(type, channel, payload, 0, payload.length);
    }
  }

  /** Ends the handshake. The first error counts. */
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
