import { ClosedError } from "../errors.ts";
import type { ByteStream, StreamSink } from "../transport/stream.ts";
import { InactivityTimer } from "./inactivity.ts";
import { EchoBuffer } from "./echo_buffer.ts";

/** One connection of the echo server: it sends the bytes back, and stops reading while the peer does not read. */
export class EchoConnection implements StreamSink {
  readonly remote: string;
  /** Resolves to the cause when the connection is over. It never rejects. */
  readonly closed: Promise<Error | undefined>;

  readonly #stream: ByteStream;
  readonly #out: EchoBuffer;
  #inactivity: InactivityTimer | undefined;

  constructor(stream: ByteStream) {
    this.remote = stream.remote;
    this.closed = stream.closed;
    this.#stream = stream;
    this.#out = new EchoBuffer(stream);
  }

  /** How many bytes have gone back so far. */
  get bytes(): number {
    return this.#out.written;
  }

  /** @param idleTimeout closes the connection after this time without a byte in either direction, in milliseconds */
  start(idleTimeout: number | undefined): void {
    if (idleTimeout !== undefined) {
      const expire = () => this.close(new ClosedError(`No data in either direction for ${idleTimeout} ms`));
      const inactivity = this.#inactivity = new InactivityTimer(idleTimeout, expire);
      this.closed.then(() => inactivity.stop());
    }
    this.#stream.attach(this);
  }

  close(cause?: Error): void {
    this.#stream.close(cause);
  }

  onData(chunk: Uint8Array): void {
    this.#inactivity?.touch();
    if (!this.#out.push(chunk)) this.#stream.pause();
  }

  onDrain(): void {
    this.#inactivity?.touch();
    this.#out.onDrain();
    this.#stream.resume();
  }

  onEnd(): void {
    this.#out.end();
  }
}
