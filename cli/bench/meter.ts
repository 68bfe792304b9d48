import { Histogram } from "./histogram.ts";

/** The bytes of a time in a message. Shorter messages have none, and no latency is measured. */
export const STAMP_BYTES = 8;

/** Counts messages, and the time from the first one to the last one. */
export class Meter {
  messages = 0;
  bytes = 0;
  /** When the work began, by `performance.now()`; undefined before it. */
  began: number | undefined;
  /** When the last message was counted. */
  lastAt = 0;
  readonly latency: Histogram = new Histogram();
  /** Called after messages are counted. */
  onCount: () => void = () => {};

  /** Counts messages. */
  count(messages: number, bytes: number, now: number): void {
    this.began ??= now;
    this.messages += messages;
    this.bytes += bytes;
    this.lastAt = now;
  }

  /** The time from the beginning to the last message, in seconds. */
  get seconds(): number {
    return this.began === undefined ? 0 : Math.max(0, this.lastAt - this.began) / 1000;
  }
}

/** Writes times into messages and reads them: a float64 at the beginning of each. */
export class Stamps {
  #bytes: Uint8Array | undefined;
  #view: DataView = new DataView(new ArrayBuffer(0));

  /** Writes a time into the message that begins at `start`. */
  write(bytes: Uint8Array, start: number, time: number): void {
    this.#see(bytes).setFloat64(start, time);
  }

  /** Reads the time of the message that begins at `start`. */
  read(bytes: Uint8Array, start: number): number {
    return this.#see(bytes).getFloat64(start);
  }

  #see(bytes: Uint8Array): DataView {
    if (bytes !== this.#bytes) {
      this.#bytes = bytes;
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    return this.#view;
  }
}
