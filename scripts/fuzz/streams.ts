/** Streams in memory for the fuzzer. */
import type { ByteStream, StreamSink } from "../../lib/transport/stream.ts";

/** A stream whose peer sends a few bytes at once and disconnects, and which accepts all writes. */
export class CannedStream implements ByteStream {
  readonly local = "inproc://fuzz";
  readonly remote = "inproc://fuzz";
  readonly closed: Promise<Error | undefined>;
  taken = 0;

  readonly #bytes: Uint8Array;
  readonly #cut: number;
  #resolve!: (cause: Error | undefined) => void;
  #sink: StreamSink | undefined;
  #said = false;
  #over = false;

  /** @param cut the index at which the bytes are split into two chunks */
  constructor(bytes: Uint8Array, cut: number) {
    this.#bytes = bytes;
    this.#cut = cut;
    this.closed = new Promise((resolve) => this.#resolve = resolve);
  }

  attach(sink: StreamSink): void {
    this.#sink = sink;
    if (this.#said) return;
    this.#said = true;
    queueMicrotask(() => {
      this.#give(this.#bytes.slice(0, this.#cut));
      queueMicrotask(() => {
        this.#give(this.#bytes.slice(this.#cut));
        if (!this.#over) this.#sink!.onEnd();
      });
    });
  }

  write(bytes: Uint8Array): void {
    queueMicrotask(() => {
      this.taken = bytes.length;
      if (!this.#over) this.#sink?.onDrain();
    });
  }

  pause(): void {}
  resume(): void {}

  end(): void {
    this.close();
  }

  close(cause?: Error): void {
    this.#over = true;
    this.#resolve(cause);
  }

  #give(chunk: Uint8Array): void {
    if (!this.#over && chunk.length > 0) this.#sink!.onData(chunk);
  }
}

/** A stream whose incoming bytes are changed. */
export class TamperedStream implements ByteStream {
  readonly #stream: ByteStream;
  readonly #tamper: (chunk: Uint8Array) => Uint8Array;

  constructor(stream: ByteStream, tamper: (chunk: Uint8Array) => Uint8Array) {
    this.#stream = stream;
    this.#tamper = tamper;
  }

  get local(): string {
    return this.#stream.local;
  }

  get remote(): string {
    return this.#stream.remote;
  }

  get closed(): Promise<Error | undefined> {
    return this.#stream.closed;
  }

  get taken(): number {
    return this.#stream.taken;
  }

  attach(sink: StreamSink): void {
    this.#stream.attach({
      onData: (chunk) => {
        const changed = this.#tamper(chunk);
        if (changed.length > 0) sink.onData(changed);
      },
      onEnd: () => sink.onEnd(),
      onDrain: () => sink.onDrain(),
    });
  }

  write(bytes: Uint8Array): void {
    this.#stream.write(bytes);
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  end(): void {
    this.#stream.end();
  }

  close(cause?: Error): void {
    this.#stream.close(cause);
  }
}
