import { ClosedError, UnreachableError } from "../errors.ts";
import type { ByteStream, StreamSink } from "../transport/stream.ts";
import type { EchoClient, EchoClientOptions } from "./client_types.ts";
import { EchoBuffer } from "./echo_buffer.ts";
import { InactivityTimer } from "./inactivity.ts";

/** An echo client over a stream. */
export class StreamEchoClient implements EchoClient, StreamSink {
  readonly remote: string;
  readonly closed: Promise<Error | undefined>;
  received = 0;

  readonly #stream: ByteStream;
  readonly #options: EchoClientOptions;
  readonly #out: EchoBuffer;
  readonly #inactivity: InactivityTimer | undefined;
  /** How many bytes the caller has sent, and so how many should come back. */
  #accepted = 0;
  #full = false;
  #ended = false;
  #paused = false;
  #over = false;

  constructor(stream: ByteStream, options: EchoClientOptions) {
    this.remote = stream.remote;
    this.closed = stream.closed;
    this.#stream = stream;
    this.#options = options;
    this.#out = new EchoBuffer(stream);
    const { timeout } = options;
    if (timeout !== undefined) {
      const expire = () => this.close(new DOMException(`No data for ${timeout} ms`, "TimeoutError"));
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

  /** Whether an echo is due: not while we are paused, nor while every byte has come back. */
  get #waiting(): boolean {
    return !this.#paused && (this.#ended || !this.#out.empty || this.received < this.#accepted);
  }

  send(bytes: Uint8Array): boolean {
    if (this.#ended) throw new ClosedError("Cannot send after the end of the input");
    if (this.#over || bytes.length === 0) return !this.#over;
    this.#inactivity?.touch();
    this.#accepted += bytes.length;
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

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.closed;
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

  /** The peer ended its half: no echo can come any more, and the peer does not read the rest. */
  onEnd(): void {
    const unsent = this.#accepted - this.#out.written;
    this.#stream.close(
      unsent === 0 ? undefined : new UnreachableError(`The peer left ${unsent} bytes unread`),
    );
  }
}
