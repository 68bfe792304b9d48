import type { FrameBuffer } from "../bytes/frame_buffer.ts";
import { ClosedError, messageOf, ProtocolError, UnreachableError } from "../errors.ts";
import type { ByteStream, StreamSink } from "../transport/stream.ts";
import { MAX_TIMER } from "../transport/waiting.ts";
import type { Connection } from "./protocol.ts";

/** The size of unwritten output at which publishing should pause, in bytes. */
const HIGH_WATER = 256 * 1024;
/** The default time limit for the server's answer to our goodbye, in milliseconds. */
const CLOSE_TIMEOUT_MS = 2000;

/** The terms of a protocol in error messages. */
export interface Terms {
  /** Its name, such as `AMQP`. */
  readonly protocol: string;
  /** What a server sends before it closes a connection, with its article, such as `a DISCONNECT`. */
  readonly goodbye: string;
  /** The interval of heartbeats, such as `keep alive time`. */
  readonly interval: string;
}

/**
 * The base of connections to brokers: output, heartbeats and the end of the connection. A protocol adds its codec, and
 * calls `attach` when it is ready for input.
 */
export abstract class ClientConnection implements Connection, StreamSink {
  abstract readonly server: string;
  readonly closed: Promise<Error | undefined>;

  readonly #stream: ByteStream;
  readonly #out: FrameBuffer;
  readonly #terms: Terms;
  /** The block that is being written. */
  #flight: Uint8Array | undefined;
  #closing = false;
  /** Set when the connection ends: at once, or after the output is written. The first cause counts. */
  #last: { readonly cause: Error | undefined } | undefined;
  /** Whether our half of the stream has ended. */
  #ended = false;
  #over = false;
  /** The error that closed the connection. */
  #error: Error | undefined;
  #paused = false;
  readonly #timers: ReturnType<typeof setInterval>[] = [];
  #wrote = false;
  #heard = false;
  /** The number of half intervals without received data. */
  #silence = 0;

  /** @param out the output buffer of the codec */
  constructor(stream: ByteStream, out: FrameBuffer, terms: Terms) {
    this.#stream = stream;
    this.#out = out;
    this.#terms = terms;
    this.closed = stream.closed.then((cause) => this.#onClosed(cause));
  }

  /** Whether the output buffer is so large that publishing should wait for `onWritable`. */
  get full(): boolean {
    return this.#out.length >= HIGH_WATER;
  }

  /** How many bytes of the current write the system has taken; -1 when all output is written. */
  get progress(): number {
    return this.#flight === undefined ? -1 : this.#stream.taken;
  }

  /** Whether the connection is closed or closing. */
  get over(): boolean {
    return this.#over || this.#closing || this.#last !== undefined;
  }

  /** Writes the output buffer; after the current write, if there is one. */
  flush(): void {
    if (this.#flight !== undefined || this.#out.length === 0 || this.#ended || this.#over) return;
    this.#flight = this.#out.take();
    this.#wrote = true;
    this.onWriting();
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

  async close(limit = CLOSE_TIMEOUT_MS): Promise<void> {
    if (!this.over) {
      this.#closing = true;
      this.resume();
      this.sayGoodbye();
      this.flush();
      const timer = setTimeout(() => this.#stream.close(), limit);
      await this.closed;
      clearTimeout(timer);
    } else await this.closed;
  }

  abort(cause?: Error): void {
    this.#last ??= { cause };
    this.#stream.close(cause);
  }

  onData(chunk: Uint8Array): void {
    this.#heard = true;
    if (this.#last === undefined && !this.#over) this.guard(() => this.onInput(chunk));
  }

  onEnd(): void {
    const { goodbye } = this.#terms;
    this.abort(
      this.#closing ? undefined : new UnreachableError(`The server closed the connection without ${goodbye}`),
    );
  }

  onDrain(): void {
    const done = this.#flight;
    this.#flight = undefined;
    if (done !== undefined) this.#out.recycle(done);
    this.guard(() => this.onWritten());
    this.flush();
    if (this.#flight === undefined && this.#last !== undefined) this.#stream.close(this.#last.cause);
    else if (!this.full) this.guard(() => this.onWritable());
  }

  /** Handles received bytes. An error closes the connection. */
  protected abstract onInput(chunk: Uint8Array): void;
  /** Encodes the goodbye. Its answer closes the stream with `abort`. */
  protected abstract sayGoodbye(): void;
  /**
   * Runs twice per interval: encodes a heartbeat if one is due.
   *
   * @param wrote whether output was written since the last call
   * @param heard whether data was received since then
   */
  protected abstract onBeat(wrote: boolean, heard: boolean): void;
  /** The connection has ended with an error, or after `close`. */
  protected abstract onOver(reason: Error): void;
  /** Encodes a report of the error that closes the connection, if the protocol has one. */
  protected sayError(_error: Error): void {}
  /** The encoded output is being written; `onWritten` follows when the system has taken it. */
  protected onWriting(): void {}
  protected onWritten(): void {}
  /** The output buffer has room again. */
  protected onWritable(): void {}

  /** Whether `close` was called. */
  protected get closing(): boolean {
    return this.#closing;
  }

  /** Starts to receive. */
  protected attach(): void {
    this.#stream.attach(this);
  }

  /** Ends our half of the stream: nothing more is written. */
  protected end(): void {
    this.#ended = true;
    this.#stream.end();
  }

  /** @throws the error that closed the connection, or a `ClosedError` after `close` */
  protected checkOpen(): void {
    if (!this.over) return;
    throw this.#error ?? this.#last?.cause ??
      new ClosedError(`The ${this.#terms.protocol} connection is closed`);
  }

  /**
   * Sends heartbeats, and closes the connection if nothing is received for twice the interval: one heartbeat of the server
   * may be late.
   *
   * @param sent the interval of our heartbeats, in milliseconds; 0 for none
   * @param received the interval of the server's heartbeats, in milliseconds; 0 for none
   */
  protected keepAlive(sent: number, received: number): void {
    if (sent === received) {
      this.#twicePer(sent, () => {
        this.#beat();
        this.#listen(received);
      });
    } else {
      this.#twicePer(sent, () => this.#beat());
      this.#twicePer(received, () => this.#listen(received));
    }
  }

  /** Does work that has no caller to catch its error: the error closes the connection. */
  protected guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.fail(error instanceof Error ? error : new ProtocolError(messageOf(error)));
    }
  }

  /** Reports an error to the server, and closes the connection. */
  protected fail(error: Error): void {
    if (this.#last !== undefined || this.#over) return;
    if (!this.#closing) this.sayError(error);
    this.closeWritten(error);
  }

  /** Closes the stream after the output is written, or after 2 s. */
  protected closeWritten(cause: Error | undefined): void {
    this.#last = { cause };
    this.flush();
    if (this.#flight === undefined) return this.#stream.close(cause);
    const timer = setTimeout(() => this.#stream.close(cause), CLOSE_TIMEOUT_MS);
    this.closed.then(() => clearTimeout(timer));
  }

  #twicePer(interval: number, work: () => void): void {
    if (interval > 0) this.#timers.push(setInterval(work, Math.min(interval / 2, MAX_TIMER)));
  }

  #beat(): void {
    if (this.#flight === undefined) {
      this.onBeat(this.#wrote, this.#heard);
      this.flush();
    }
    this.#wrote = false;
  }

  #listen(interval: number): void {
    this.#silence = this.#heard || this.#paused ? 0 : this.#silence + 1;
    this.#heard = false;
    if (this.#silence < 4) return;
    const silence = `The server sent nothing for ${interval / 500} s`;
    this.abort(new UnreachableError(`${silence}, twice the ${this.#terms.interval}`));
  }

  #onClosed(cause: Error | undefined): Error | undefined {
    this.#over = true;
    for (const timer of this.#timers) clearInterval(timer);
    const reason = this.#error = this.#last?.cause ?? cause ??
      (this.#closing ? undefined : new UnreachableError("The connection was closed"));
    this.onOver(reason ?? new ClosedError("The connection was closed"));
    return reason;
  }
}
