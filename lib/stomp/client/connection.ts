import { ClosedError, messageOf, ProtocolError, UnreachableError } from "../../errors.ts";
import type { Connection } from "../../link/protocol.ts";
import type { ByteStream, StreamSink } from "../../transport/stream.ts";
import type { StompDecoder, StompSink } from "../frame_decoder.ts";
import { StompEncoder } from "../frame_encoder.ts";
import type { StompFrame, StompVersion } from "../frame.ts";
import { StompError } from "../stomp_error.ts";
import type { StompLogin } from "./handshake.ts";
import type { StompServer } from "./url.ts";

/** The size of unwritten output at which publishing should pause, in bytes. */
const HIGH_WATER = 256 * 1024;
/** The default time limit for the receipt of DISCONNECT, in milliseconds. */
const CLOSE_TIMEOUT_MS = 2000;
/** The receipts of `call` begin with this; those of messages are numbers. */
const CALL = "call-";

/** Callbacks of a connection. An error that they throw closes the connection. */
export interface StompConnectionEvents {
  /** A MESSAGE frame arrived. It is valid during the call only. */
  onMessage?(frame: StompFrame): void;
  /** A receipt arrived that is not of a `call`. */
  onReceipt?(id: string): void;
  /**
   * The server sent an ERROR frame; the connection closes.
   *
   * @param receipt the receipt of the refused frame, if the server knows it
   * @param subscription the id of the subscription that the server cancelled
   * @returns another error to close the connection with
   */
  onError?(
    error: StompError,
    receipt: string | undefined,
    subscription: string | undefined,
  ): Error | undefined;
  /** All frames of one received chunk were reported. */
  onBatchEnd?(): void;
  /** The system accepted output, so that the output buffer has room again. */
  onWritable?(): void;
}

interface Call {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** A connection after the handshake: it is open or closed, there is no half-open state. */
export class StompConnection implements Connection, StreamSink, StompSink {
  readonly address: StompServer;
  readonly version: StompVersion;
  readonly server: string;
  readonly closed: Promise<Error | undefined>;
  /** The output buffer; call `flush` after writing to it. */
  readonly encoder: StompEncoder = new StompEncoder();
  events: StompConnectionEvents = {};
  /** Whether the server ended the connection without an ERROR frame. */
  endedByServer = false;

  readonly #stream: ByteStream;
  readonly #decoder: StompDecoder;
  readonly #sendInterval: number;
  readonly #receiveInterval: number;
  /** By receipt. */
  readonly #calls = new Map<string, Call>();
  #lastCall = 0;
  #flight: Uint8Array | undefined;
  #closing = false;
  #over = false;
  /** The error that closed the connection. */
  #error: Error | undefined;
  #paused = false;
  #fresh = false;
  #timers: ReturnType<typeof setInterval>[] = [];
  #wrote = false;
  #heard = false;
  /** The number of half heart-beat intervals without received data. */
  #silence = 0;

  /** @param maxMessage the size limit for received messages, in bytes */
  constructor(stream: ByteStream, login: StompLogin, address: StompServer, maxMessage: number) {
    this.address = address;
    this.server = login.server;
    this.version = this.encoder.version = login.version;
    this.#stream = stream;
    this.#decoder = login.decoder;
    this.#decoder.maxBody = maxMessage;
    this.#decoder.sink = this;
    this.#sendInterval = login.sendInterval;
    this.#receiveInterval = login.receiveInterval;
    this.closed = stream.closed.then((cause) => this.#onClosed(cause));
    stream.attach(this);
    if (this.#sendInterval > 0) this.#every(this.#sendInterval / 2, () => this.#beat());
    if (this.#receiveInterval > 0) this.#every(this.#receiveInterval / 2, () => this.#listen());
    this.#handle(() => this.#decoder.resume());
    const failure = login.failure();
    if (failure !== undefined) stream.close(failure);
  }

  /** Whether the output buffer is so large that publishing should wait for `onWritable`. */
  get full(): boolean {
    return this.encoder.out.length >= HIGH_WATER;
  }

  /** Whether the connection is closed or closing. */
  get over(): boolean {
    return this.#over || this.#closing;
  }

  /**
   * Sends a frame, and waits for its receipt.
   *
   * @throws {StompError} the server refused it
   * @throws {UnreachableError | ClosedError} the connection is closed
   */
  async call(command: string, headers: readonly (readonly [name: string, value: string])[]): Promise<void> {
    if (this.over) throw this.#error ?? new ClosedError("The STOMP connection is closed");
    await this.#call(command, headers);
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

  /** Sends DISCONNECT, and closes the stream after its receipt ("DISCONNECT"): earlier frames are processed then. */
  async close(limit = CLOSE_TIMEOUT_MS): Promise<void> {
    if (!this.over) {
      this.#closing = true;
      this.resume();
      const timer = setTimeout(() => this.#stream.close(), limit);
      await this.#call("DISCONNECT", []).catch(() => {});
      clearTimeout(timer);
      this.#stream.close();
    }
    await this.closed;
  }

  abort(cause?: Error): void {
    this.#stream.close(cause);
  }

  onData(chunk: Uint8Array): void {
    this.#heard = true;
    if (!this.#over) this.#handle(() => this.#decoder.push(chunk));
  }

  onEnd(): void {
    if (this.#closing) return this.#stream.close();
    this.endedByServer = true;
    this.#stream.close(new UnreachableError("The server closed the connection without an ERROR frame"));
  }

  onDrain(): void {
    const done = this.#flight;
    this.#flight = undefined;
    if (done !== undefined) this.encoder.out.recycle(done);
    this.flush();
    if (!this.full) this.#handle(() => this.events.onWritable?.());
  }

  onFrame(frame: StompFrame): void {
    if (this.#over) return;
    switch (frame.command) {
      case "MESSAGE":
        // After DISCONNECT, messages go back to their queues.
        if (this.#closing) return;
        this.#fresh = true;
        return this.events.onMessage?.(frame);
      case "RECEIPT":
        return this.#onReceipt(frame.get("receipt-id") ?? "");
      case "ERROR":
        return this.#onError(frame);
      default:
        throw new ProtocolError(
          `The server sent the frame ${frame.command.slice(0, 20)}, which servers do not send`,
        );
    }
  }

  #call(command: string, headers: readonly (readonly [name: string, value: string])[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const receipt = `${CALL}${++this.#lastCall}`;
      this.encoder.frame(command, [...headers, ["receipt", receipt]]);
      this.flush();
      this.#calls.set(receipt, { resolve, reject });
    });
  }

  #onReceipt(id: string): void {
    const call = this.#calls.get(id);
    if (call !== undefined) {
      this.#calls.delete(id);
      return call.resolve();
    }
    this.#fresh = true;
    this.events.onReceipt?.(id);
  }

  /** The connection ends with any ERROR frame, as the specification says. RabbitMQ keeps some open. */
  #onError(frame: StompFrame): void {
    const details = new TextDecoder().decode(frame.body.subarray(frame.bodyStart, frame.bodyEnd));
    const error = new StompError(frame.get("message") ?? "ERROR", details);
    if (this.#closing) return this.#stream.close();
    this.#fail(this.events.onError?.(error, frame.get("receipt-id"), frame.get("subscription")) ?? error);
  }

  /** Handles input; an error closes the connection. */
  #handle(work: () => void): void {
    try {
      work();
      if (!this.#fresh) return;
      this.#fresh = false;
      this.events.onBatchEnd?.();
    } catch (error) {
      this.#fail(error instanceof Error ? error : new ProtocolError(messageOf(error)));
    }
  }

  #fail(error: Error): void {
    this.#over = true;
    this.#error = error;
    this.#stream.close(error);
  }

  #every(ms: number, work: () => void): void {
    this.#timers.push(setInterval(work, ms));
  }

  /** Runs twice per interval: sends a heart-beat if nothing else was sent. */
  #beat(): void {
    if (!this.#wrote && this.#flight === undefined) {
      this.encoder.heartbeat();
      this.flush();
    }
    this.#wrote = false;
  }

  /** Runs twice per interval: checks for received data. Two intervals may pass, because one heart-beat may be late. */
  #listen(): void {
    this.#silence = this.#heard || this.#paused ? 0 : this.#silence + 1;
    this.#heard = false;
    if (this.#silence < 4) return;
    const seconds = 2 * this.#receiveInterval / 1000;
    this.#stream.close(
      new UnreachableError(`The server sent nothing for ${seconds} s, twice the heart-beat interval`),
    );
  }

  #onClosed(cause: Error | undefined): Error | undefined {
    this.#over = true;
    for (const timer of this.#timers) clearInterval(timer);
    const reason = this.#error = cause ??
      (this.#closing ? undefined : new UnreachableError("The connection was closed"));
    for (const { reject } of this.#calls.values()) {
      reject(reason ?? new ClosedError("The connection was closed"));
    }
    this.#calls.clear();
    return reason;
  }
}
