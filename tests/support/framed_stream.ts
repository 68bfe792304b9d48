import type { ByteStream, StreamSink } from "../../lib/transport/stream.ts";

const HEADER = 9;

/**
 * Carries any bytes over a stream of ZMTP's frames, each write as one frame, so that a WebSocket can run the suite of all
 * streams.
 */
export class FramedStream implements ByteStream, StreamSink {
  readonly local: string;
  readonly remote: string;
  readonly closed: Promise<Error | undefined>;

  #sink!: StreamSink;
  #header: number[] = [];
  #left = 0;

  constructor(readonly inner: ByteStream) {
    this.local = inner.local;
    this.remote = inner.remote;
    this.closed = inner.closed;
  }

  get taken(): number {
    return Math.max(0, this.inner.taken - HEADER);
  }

  attach(sink: StreamSink): void {
    const first = this.#sink === undefined;
    this.#sink = sink;
    if (first) this.inner.attach(this);
  }

  write(bytes: Uint8Array): void {
    const frame = new Uint8Array(HEADER + bytes.length);
    frame[0] = 2;
    new DataView(frame.buffer).setBigUint64(1, BigInt(bytes.length));
    frame.set(bytes, HEADER);
    this.inner.write(frame);
  }

  onData(chunk: Uint8Array): void {
    const bodies: Uint8Array[] = [];
    for (let at = 0; at < chunk.length;) {
      if (this.#left > 0) {
        const count = Math.min(this.#left, chunk.length - at);
        bodies.push(chunk.subarray(at, at + count));
        this.#left -= count;
        at += count;
      } else {
        this.#header.push(chunk[at++]!);
        const [flags, length] = this.#header;
        if (this.#header.length === 2 && flags === 0) this.#left = length!;
        else if (this.#header.length === HEADER) {
          this.#left = this.#header.slice(1).reduce((a, b) => a * 256 + b);
        } else continue;
        this.#header = [];
      }
    }
    if (bodies.length === 0) return;
    const whole = new Uint8Array(bodies.reduce((sum, { length }) => sum + length, 0));
    bodies.reduce((at, body) => (whole.set(body, at), at + body.length), 0);
    this.#sink.onData(whole);
  }

  onEnd(): void {
    this.#sink.onEnd();
  }

  onDrain(): void {
    this.#sink.onDrain();
  }

  pause(): void {
    this.inner.pause();
  }

  resume(): void {
    this.inner.resume();
  }

  end(): void {
    this.inner.end();
  }

  close(cause?: Error): void {
    this.inner.close(cause);
  }
}
