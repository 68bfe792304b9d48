import { HandshakeTimeoutError, UnreachableError } from "../errors.ts";
import type { ByteStream, StreamSink } from "../transport/stream.ts";
import { concat, EMPTY } from "./bytes.ts";

/** The stream is paused while more unread bytes than this are buffered. */
const MAX_UNREAD = 64 * 1024;

/** Reads and writes a stream with async functions, for handshakes, where clarity matters more than speed. */
export class StreamReader implements StreamSink {
  readonly #stream: ByteStream;
  readonly #timer: ReturnType<typeof setTimeout>;
  #unread: Uint8Array = EMPTY;
  #failure: Error | undefined;
  #ended: Error | undefined;
  #wake: (() => void) | undefined;
  #writing = false;

  /** @param timeout the time from now until `finish` must be called, in milliseconds */
  constructor(stream: ByteStream, timeout: number) {
    this.#stream = stream;
    this.#timer = setTimeout(
      () => this.#fail(new HandshakeTimeoutError(`The handshake did not finish within ${timeout / 1000} s`)),
      timeout,
    );
    stream.closed.then((cause) =>
      this.#fail(cause ?? new UnreachableError("The peer closed the connection"))
    );
    stream.attach(this);
  }

  onData(chunk: Uint8Array): void {
    this.#unread = concat([this.#unread, chunk]);
    if (this.#unread.length > MAX_UNREAD) this.#stream.pause();
    this.#wake?.();
  }

  onEnd(): void {
    // Bytes that arrived before the end are still read: they may contain the reason.
    this.#ended = new UnreachableError("The peer closed the connection during the handshake");
    this.#wake?.();
  }

  onDrain(): void {
    this.#writing = false;
    this.#wake?.();
  }

  /** Reads exactly `count` bytes. */
  async read(count: number): Promise<Uint8Array> {
    const bytes = (await this.peek(count)).subarray(0, count);
    this.#unread = this.#unread.subarray(count);
    return bytes;
  }

  /** Waits for at least `count` bytes, and returns all unread bytes without consuming them. */
  async peek(count: number): Promise<Uint8Array> {
    while (this.#unread.length < count) {
      const failure = this.#failure ?? this.#ended;
      if (failure !== undefined) throw failure;
      await this.#change();
    }
    return this.#unread;
  }

  /** Waits for `count` bytes, at most `ms` milliseconds, and returns whether they have arrived. */
  async has(count: number, ms: number): Promise<boolean> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#wake?.();
    }, ms);
    while (this.#unread.length < count && !late && (this.#failure ?? this.#ended) === undefined) {
      await this.#change();
    }
    clearTimeout(timer);
    return this.#unread.length >= count;
  }

  /** Writes, and waits until the operating system has accepted the bytes. */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    this.#writing = true;
    this.#stream.write(bytes);
    while (this.#writing) {
      await this.#change();
      if (this.#failure !== undefined) throw this.#failure;
    }
  }

  /** Waits for other work. Fails if the stream or the deadline ends first. */
  async wait<T>(work: Promise<T>): Promise<T> {
    let done = false;
    const settled = () => {
      done = true;
      this.#wake?.();
    };
    work.then(settled, settled);
    while (!done) {
      if (this.#failure !== undefined) throw this.#failure;
      await this.#change();
    }
    return await work;
  }

  /** Ends the deadline. */
  finish(): void {
    clearTimeout(this.#timer);
  }

  /** Returns the unread bytes. The caller must attach its own sink in the same task. */
  release(): Uint8Array {
    return this.#unread;
  }

  /** Whether the peer has already ended its half: the next sink gets no `onEnd`. */
  get ended(): boolean {
    return this.#ended !== undefined;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#wake = resolve);
  }

  #fail(error: Error): void {
    clearTimeout(this.#timer);
    this.#failure ??= error;
    this.#wake?.();
  }
}
