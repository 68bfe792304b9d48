import { ClosedError, messageOf, ProtocolError, UnreachableError } from "../../errors.ts";
import type { ByteStream, StreamSink } from "../../transport/stream.ts";
import { AmqpError, amqpError, errorFromClose } from "../amqp_error.ts";
import { METHOD } from "../frames/frame.ts";
import type { FrameDecoder, FrameSink } from "../frames/frame_decoder.ts";
import { FrameEncoder } from "../frames/frame_encoder.ts";
import { decodeMethod } from "../method_codec.ts";
import { Channel, type ChannelEvents } from "./channel.ts";
import type { Tuned } from "./handshake.ts";

/** The size of unwritten output at which publishing should pause, in bytes. */
const HIGH_WATER = 256 * 1024;
/** The default time limit for the server's `connection.close-ok`, in milliseconds. */
const CLOSE_TIMEOUT_MS = 2000;

/** Callbacks of a connection. */
export interface ConnectionEvents {
  /** The system accepted output, so that the output buffer has room again. */
  onWritable?(): void;
  /** The server accepts no messages for the given reason; undefined: it accepts messages again. */
  onBlocked?(reason: string | undefined): void;
}

/** A connection after the handshake: it is open or closed, there is no half-open state. */
export class AmqpConnection implements StreamSink, FrameSink {
  /** Product and version of the server. */
  readonly server: string;
  /** Whether the server supports `peek.ts`: it is mqcat's own broker. */
  readonly peeks: boolean;
  /** Whether the server supports `dump.ts`: it is mqcat's own broker. */
  readonly dumps: boolean;
  /** Whether the server supports the filters and sweeps of `peek.ts`. */
  readonly sweeps: boolean;
  /** Resolves to the error that closed the connection, or to undefined after `close`. It never rejects. */
  readonly closed: Promise<Error | undefined>;
  /** The output buffer; call `flush` after writing to it. */
  readonly encoder: FrameEncoder = new FrameEncoder();
  events: ConnectionEvents = {};
  /** The reason why the server accepts no messages; undefined when it does. */
  blocked: string | undefined;

  readonly #stream: ByteStream;
  readonly #decoder: FrameDecoder;
  readonly #channels = new Map<number, Channel>();
  readonly #channelMax: number;
  readonly #maxMessage: number;
  #lastChannel = 0;
  #flight: Uint8Array | undefined;
  #over = false;
  /** The error that closed the connection. */
  #error: Error | undefined;
  #closing = false;
  /** Set when the stream closes after the output is written. */
  #last: { readonly cause: Error | undefined } | undefined;
  #paused = false;
  #timer: ReturnType<typeof setInterval> | undefined;
  #wrote = false;
  #heard = false;
  /** The number of half heartbeat intervals without received data. */
  #silence = 0;

  /** @param maxMessage the size limit for received messages, in bytes */
  constructor(stream: ByteStream, tuned: Tuned, maxMessage: number) {
    this.server = tuned.server;
    this.peeks = tuned.peeks;
    this.dumps = tuned.dumps;
    this.sweeps = tuned.sweeps;
    this.#stream = stream;
    this.#decoder = tuned.reader.decoder;
    this.#decoder.frameMax = this.encoder.frameMax = tuned.frameMax;
    this.#channelMax = tuned.channelMax;
    this.#maxMessage = maxMessage;
    this.closed = stream.closed.then((cause) => this.#onClosed(cause));
    stream.attach(this);
    tuned.reader.handOver(this);
    if (tuned.heartbeat > 0) {
      this.#timer = setInterval(() => this.#beat(tuned.heartbeat), tuned.heartbeat * 500);
    }
  }

  /** Whether the output buffer is so large that publishing should wait for `onWritable`. */
  get full(): boolean {
    return this.encoder.out.length >= HIGH_WATER;
  }

  /** How many bytes of the current write the system has taken; -1 when all output is written. */
  get progress(): number {
    return this.#flight === undefined ? -1 : this.#stream.taken;
  }

  /** Whether the connection is closed or closing. */
  get over(): boolean {
    return this.#over || this.#closing || this.#last !== undefined;
  }

  /**
   * Opens a channel.
   *
   * @throws {ClosedError} the connection was closed with `close`
   * @throws {UnreachableError | AmqpError} the connection is lost, or the server closed it
   * @throws {AmqpError} 504: all channels that the server allows are open
   */
  async open(events: ChannelEvents = {}): Promise<Channel> {
    if (this.over) {
      throw this.#error ?? this.#last?.cause ?? new ClosedError("The AMQP connection is closed");
    }
    if (this.#channels.size >= this.#channelMax) {
      throw amqpError(504, `all ${this.#channelMax} channels are open`);
    }
    let id = this.#lastChannel;
    do id = id % this.#channelMax + 1; while (this.#channels.has(id));
    this.#lastChannel = id;
    const channel = new Channel(this, id, events, this.#maxMessage);
    this.#channels.set(id, channel);
    channel.closed.then(() => this.#channels.delete(id));
    await channel.call("channel.open", {}, "channel.open-ok");
    return channel;
  }

  /** Writes the output buffer; after the current write, if there is one. */
  flush(): void {
    if (this.#flight !== undefined || this.encoder.out.length === 0 || this.#over) return;
    this.#flight = this.encoder.out.take();
    this.#wrote = true;
    this.#stream.write(this.#flight);
  }

  /** Stops reading, so that the server has to wait. */
  pause(): void {
    this.#paused = true;
    this.#stream.pause();
  }

  /** Continues reading. */
  resume(): void {
    this.#paused = false;
    this.#silence = 0;
    this.#stream.resume();
  }

  /**
   * Sends `connection.close` (2.2.4), and closes the stream after the reply.
   *
   * @param limit the time limit for the reply, in milliseconds
   */
  async close(limit = CLOSE_TIMEOUT_MS): Promise<void> {
    if (!this.over) {
      this.#closing = true;
      this.resume();
      this.encoder.method(0, "connection.close", { replyCode: 200, replyText: "Goodbye" });
      this.flush();
      const timer = setTimeout(() => this.#stream.close(), limit);
      await this.closed;
      clearTimeout(timer);
    } else await this.closed;
  }

  /** Closes the stream at once, without `connection.close`. */
  abort(cause?: Error): void {
    this.#stream.close(cause);
  }

  onData(chunk: Uint8Array): void {
    this.#heard = true;
    if (this.#last !== undefined) return;
    try {
      this.#decoder.push(chunk);
      for (const channel of this.#channels.values()) channel.afterData();
    } catch (error) {
      this.#fail(error instanceof Error ? error : new ProtocolError(messageOf(error)));
    }
  }

  onEnd(): void {
    this.#stream.close(
      this.#closing
        ? undefined
        : new UnreachableError("The server closed the connection without connection.close"),
    );
  }

  onDrain(): void {
    const done = this.#flight;
    this.#flight = undefined;
    if (done !== undefined) this.encoder.out.recycle(done);
    this.flush();
    if (this.#flight === undefined && this.#last !== undefined) this.#stream.close(this.#last.cause);
    else if (!this.full) this.#guard(this.events.onWritable);
  }

  onProtocolHeader(): void {
    // The decoder of a client throws an error instead.
  }

  onFrame(type: number, channel: number, bytes: Uint8Array, start: number, end: number): void {
    if (channel === 0) {
      if (type === METHOD) this.#onMethod(bytes, start, end);
      return;
    }
    const target = this.#channels.get(channel);
    if (target !== undefined) return target.onFrame(type, bytes, start, end);
    throw amqpError(504, `received a frame for channel ${channel}, which is not open`);
  }

  #onMethod(bytes: Uint8Array, start: number, end: number): void {
    const { name, args } = decodeMethod(bytes, start, end);
    switch (name) {
      case "connection.blocked":
      case "connection.unblocked":
        this.blocked = name === "connection.blocked" ? args.reason : undefined;
        return this.events.onBlocked?.(this.blocked);
      case "connection.close-ok":
        return this.#stream.close();
      case "connection.close":
        this.encoder.method(0, "connection.close-ok", {});
        return this.#closeWritten(this.#closing ? undefined : errorFromClose("connection", args));
      default:
        throw amqpError(503, `unexpected ${name} on channel 0`);
    }
  }

  /** Calls a callback that has no caller to catch its error: the error closes the connection. */
  #guard(callback: (() => void) | undefined): void {
    try {
      callback?.();
    } catch (error) {
      this.#fail(error instanceof Error ? error : new ProtocolError(messageOf(error)));
    }
  }

  /** Reports a protocol error to the server, and closes the connection. */
  #fail(error: Error): void {
    if (error instanceof AmqpError && !this.over) this.encoder.method(0, "connection.close", error);
    this.#closeWritten(error);
  }

  /** Closes the stream after the output is written, or after 2 s. */
  #closeWritten(cause: Error | undefined): void {
    this.#last = { cause };
    this.flush();
    if (this.#flight === undefined) return this.#stream.close(cause);
    const timer = setTimeout(() => this.#stream.close(cause), CLOSE_TIMEOUT_MS);
    this.closed.then(() => clearTimeout(timer));
  }

  /** Runs twice per interval: sends a heartbeat if nothing else was sent, and checks for received data (4.2.7). */
  #beat(interval: number): void {
    if (!this.#wrote && this.#flight === undefined) {
      this.encoder.heartbeat();
      this.flush();
    }
    this.#wrote = false;
    this.#silence = this.#heard || this.#paused ? 0 : this.#silence + 1;
    this.#heard = false;
    // Two intervals, as in RabbitMQ, because one heartbeat may be late.
    if (this.#silence >= 4) {
      this.#stream.close(
        new UnreachableError(`The server sent nothing for ${2 * interval} s, twice the heartbeat interval`),
      );
    }
  }

  #onClosed(cause: Error | undefined): Error | undefined {
    this.#over = true;
    clearInterval(this.#timer);
    const reason = this.#error = this.#last?.cause ?? cause ??
      (this.#closing ? undefined : new UnreachableError("The connection was closed"));
    for (const channel of [...this.#channels.values()]) {
      channel.end(reason ?? new ClosedError("The connection was closed"));
    }
    return reason;
  }
}
