import type { ByteStream, FrameStream, StreamSink } from "./stream.ts";

/** Sees the bytes of one stream. The calls may neither throw nor keep or change the bytes. */
export interface StreamTap {
  onSent(bytes: Uint8Array): void;
  onReceived(bytes: Uint8Array): void;
}

/** Makes the tap of a stream that was just connected or accepted. */
export type TapFactory = (stream: ByteStream) => StreamTap;

let factory: TapFactory | undefined;

/**
 * Puts a tap on each stream that this process connects or accepts from now on; undefined ends that. Streams without a tap
 * are not wrapped, so the bytes of other runs take no detour.
 */
export function tapStreams(makeTap: TapFactory | undefined): void {
  factory = makeTap;
}

/** Returns the stream with its tap, or the stream itself if there is none to put on it. */
export function tapped(stream: ByteStream): ByteStream {
  if (factory === undefined) return stream;
  const tap = factory(stream);
  return "subprotocol" in stream
    ? new TappedFrameStream(stream as FrameStream, tap)
    : new TappedStream(stream, tap);
}

/** A stream that shows its tap what passes. */
class TappedStream<S extends ByteStream = ByteStream> implements ByteStream {
  protected readonly below: S;
  readonly #tap: StreamTap;

  constructor(below: S, tap: StreamTap) {
    this.below = below;
    this.#tap = tap;
  }

  get local(): string {
    return this.below.local;
  }

  get remote(): string {
    return this.below.remote;
  }

  get peerCertificate(): Uint8Array | undefined {
    return this.below.peerCertificate;
  }

  get closed(): Promise<Error | undefined> {
    return this.below.closed;
  }

  get taken(): number {
    return this.below.taken;
  }

  get peerEnded(): boolean {
    return this.below.peerEnded ?? false;
  }

  attach(sink: StreamSink): void {
    const tap = this.#tap;
    this.below.attach({
      onData(chunk) {
        tap.onReceived(chunk);
        sink.onData(chunk);
      },
      onEnd: () => sink.onEnd(),
      onDrain: () => sink.onDrain(),
      space: () => sink.space?.(),
    });
  }

  write(bytes: Uint8Array): void {
    this.#tap.onSent(bytes);
    this.below.write(bytes);
  }

  pause(): void {
    this.below.pause();
  }

  resume(): void {
    this.below.resume();
  }

  end(): void {
    this.below.end();
  }

  close(cause?: Error): void {
    this.below.close(cause);
  }
}

class TappedFrameStream extends TappedStream<FrameStream> implements FrameStream {
  get subprotocol(): string {
    return this.below.subprotocol;
  }

  ping(): void {
    this.below.ping();
  }
}
