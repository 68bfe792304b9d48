import { ClosedError } from "../errors.ts";
import type { ByteStream, StreamSink } from "../transport/stream.ts";
import { InactivityTimer } from "./inactivity.ts";
import { WriteBuffer } from "./write_buffer.ts";

/** One connection of the echo server: what comes goes back, and reading stops while the peer does not read. */
export class EchoConnection implements StreamSink {
  readonly remote: string;
  /** Resolves to the cause when the connection is over. It never rejects. */
  readonly closed: Promise<Error | undefined>;

  readonly #stream: ByteStream;
  readonly #out: WriteBuffer;
  #inactivity: InactivityTimer | undefined;

  constructor(stream: ByteStream) {
    this.remote = stream.remote;
    this.closed = stream.closed;
    this.#stream = stream;
    this.#out = new WriteBuffer(stream);
  }

  /** How many bytes went back so far. */
  get bytes(): number {
    return this.#out.written;
  }

  /** @param idleTimeout after so many milliseconds with no byte in either direction the connection is closed */
  start(idleTimeout: number | undefined): void {
    if (idleTimeout !== undefined) {
      const expire = () => this.close(new ClosedError(`Nothing came or went for ${idleTimeout} ms`));
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
