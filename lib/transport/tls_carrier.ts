import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import type tls from "node:tls";
import { NodeStream } from "./runtime/node.ts";
import { Latch } from "./runtime/shared.ts";
import type { ByteStream, StreamSink } from "./stream.ts";

/** Carries TLS records between `node:tls`, which takes a duplex stream for its socket, and a byte stream. */
export class Carrier extends Duplex implements StreamSink {
  readonly stream: ByteStream;
  #taken: ((error?: Error | null) => void) | undefined;
  #holding = false;
  #ended = false;

  constructor(stream: ByteStream) {
    super({ allowHalfOpen: true });
    this.stream = stream;
    stream.attach(this);
    stream.closed.then((cause) => {
      // Once the peer's end went through, node closes by itself, behind what it has not read yet.
      if (cause !== undefined || !this.#ended) this.destroy(cause);
    });
  }

  /** Stops reading, so that TCP holds the peer back. */
  hold(): void {
    this.#holding = true;
    this.stream.pause();
  }

  release(): void {
    this.#holding = false;
    this.stream.resume();
  }

  onData(chunk: Uint8Array): void {
    if (!this.push(Buffer.from(chunk))) this.stream.pause();
  }

  onEnd(): void {
    this.#ended = true;
    this.push(null);
  }

  onDrain(): void {
    this.#taken!();
  }

  override _read(): void {
    if (!this.#holding) this.stream.resume();
  }

  override _write(chunk: Buffer, _encoding: string, taken: (error?: Error | null) => void): void {
    this.#taken = taken;
    this.stream.write(chunk);
  }

  override _final(done: () => void): void {
    this.stream.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.stream.close(error ?? undefined);
    done(error);
  }
}

/**
 * A TLS stream over a carrier. `pause` holds the stream below and never the TLS socket itself; what that had decrypted
 * already, a read's worth at most, waits here.
 */
export class CarriedTlsStream implements ByteStream, StreamSink {
  readonly local: string;
  readonly remote: string;
  readonly closed: Promise<Error | undefined>;

  readonly #carrier: Carrier;
  readonly #inner: NodeStream;
  readonly #closed = new Latch<Error | undefined>();
  #sink: StreamSink | undefined;
  #paused = false;
  #waiting: Uint8Array[] = [];
  #end: "to come" | "waiting" | "told" = "to come";
  #innerClosed = false;

  constructor(socket: tls.TLSSocket, carrier: Carrier) {
    this.local = carrier.stream.local.replace(/^tcp/, "tls");
    this.remote = carrier.stream.remote.replace(/^tcp/, "tls");
    this.closed = this.#closed.promise;
    this.#carrier = carrier;
    this.#inner = new NodeStream(socket);
    this.#inner.attach(this);
    this.#inner.closed.then((cause) => {
      this.#innerClosed = true;
      if (cause !== undefined || this.#end !== "waiting") this.#closed.resolve(cause);
    });
  }

  get taken(): number {
    return this.#inner.taken;
  }

  attach(sink: StreamSink): void {
    const first = this.#sink === undefined;
    this.#sink = sink;
    if (first) queueMicrotask(() => this.#deliver());
  }

  pause(): void {
    this.#paused = true;
    this.#carrier.hold();
  }

  resume(): void {
    this.#paused = false;
    this.#deliver();
    if (!this.#paused) this.#carrier.release();
  }

  write(bytes: Uint8Array): void {
    this.#inner.write(bytes);
  }

  end(): void {
    this.#inner.end();
  }

  close(cause?: Error): void {
    this.#closed.resolve(cause);
    this.#inner.close(cause);
  }

  onData(chunk: Uint8Array): void {
    this.#waiting.push(chunk);
    this.#deliver();
  }

  onEnd(): void {
    this.#end = "waiting";
    this.#deliver();
  }

  onDrain(): void {
    if (!this.#closed.open) this.#sink?.onDrain();
  }

  #deliver(): void {
    const sink = this.#sink;
    if (sink === undefined) return;
    while (!this.#paused && !this.#closed.open && this.#waiting.length > 0) sink.onData(this.#waiting.shift()!);
    if (this.#paused || this.#closed.open || this.#end !== "waiting") return;
    this.#end = "told";
    sink.onEnd();
    if (this.#innerClosed) this.#closed.resolve(undefined);
  }
}
