import { MAX_TIMER } from "../transport/waiting.ts";
import type { ByteStream, StreamSink } from "../transport/stream.ts";

/** The most that is read from a peer, in bytes. */
const MAX_HEARD = 64 * 1024;
const NOTHING = new Uint8Array(0);

/** One connection to the peer, and the bytes received on it. */
export class ProbeConnection implements StreamSink {
  readonly stream: ByteStream;
  /** The bytes received so far. */
  heard: Uint8Array = NOTHING;
  /** Whether the peer has ended, so that nothing more can arrive. */
  over = false;

  #writing = false;
  #wake: (() => void) | undefined;

  constructor(stream: ByteStream) {
    this.stream = stream;
    stream.closed.then(() => this.onEnd());
    stream.attach(this);
    stream.resume();
  }

  /** Sends `bytes`, unless a write is in progress, and waits at most `ms` milliseconds until the system has taken them. */
  async say(bytes: Uint8Array, ms: number): Promise<void> {
    if (this.over || this.#writing) return;
    this.#writing = true;
    this.stream.write(bytes);
    await this.#until(() => !this.#writing, ms);
  }

  /**
   * Waits until the received bytes are `enough`, the peer has ended, or `ms` milliseconds have passed.
   *
   * @returns whether they are enough
   */
  async hears(enough: (heard: Uint8Array) => boolean, ms: number): Promise<boolean> {
    await this.#until(() => enough(this.heard), ms);
    return enough(this.heard);
  }

  /** Waits for `count` bytes. */
  hearsBytes(count: number, ms: number): Promise<boolean> {
    return this.hears((heard) => heard.length >= count, ms);
  }

  close(): void {
    this.stream.close();
  }

  onData(chunk: Uint8Array): void {
    const room = Math.min(chunk.length, MAX_HEARD - this.heard.length);
    const heard = new Uint8Array(this.heard.length + room);
    heard.set(this.heard);
    heard.set(chunk.subarray(0, room), this.heard.length);
    this.heard = heard;
    if (heard.length === MAX_HEARD) this.stream.pause();
    this.#wake?.();
  }

  onEnd(): void {
    this.over = true;
    this.#wake?.();
  }

  onDrain(): void {
    this.#writing = false;
    this.#wake?.();
  }

  async #until(done: () => boolean, ms: number): Promise<void> {
    const end = performance.now() + Math.min(ms, MAX_TIMER);
    while (!done() && !this.over) {
      const left = end - performance.now();
      if (left <= 0) return;
      let timer: ReturnType<typeof setTimeout> | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        timer = setTimeout(resolve, left);
      });
      clearTimeout(timer);
    }
  }
}

/** The first line as text for people, without control characters. */
export function firstLine(bytes: Uint8Array, most = 200): string {
  const [line] = new TextDecoder("latin1").decode(bytes.subarray(0, most)).split(/\r?\n/);
  return line!.replaceAll(/\p{Cc}/gu, "").trim();
}

/** Whether `bytes` begin with `start`. */
export function startsWith(bytes: Uint8Array, start: Uint8Array | string): boolean {
  const wanted = typeof start === "string" ? new TextEncoder().encode(start) : start;
  return bytes.length >= wanted.length && wanted.every((byte, at) => bytes[at] === byte);
}
