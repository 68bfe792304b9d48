import { ProtocolError } from "../errors.ts";

/** How many bytes of a unit are kept for its description; the rest is counted only. */
export const KEEP = 64 * 1024;
const SMALL = 256;

/** The layout of a protocol whose units (frames, packets) begin with their size, and the receiver of the units. */
export interface UnitSink {
  /**
   * Returns the size of a unit with its header, or 0 if that needs more than these first bytes. It is called after each
   * byte of the header.
   *
   * @throws {ProtocolError} this is not a unit
   */
  sizeOf(bytes: Uint8Array, length: number): number;
  /** Receives a unit: `bytes` are all of it, or its first `KEEP` bytes if it is larger; they are valid during the call. */
  onUnit(bytes: Uint8Array, size: number): void;
}

/** Splits a stream of bytes into units, under any chunking, with at most `KEEP` bytes of memory for units of any size. */
export class UnitSplitter {
  readonly #sink: UnitSink;
  #kept = new Uint8Array(SMALL);
  #length = 0;
  /** The size of the current unit; 0 until its header is complete. */
  #size = 0;
  #seen = 0;

  constructor(sink: UnitSink) {
    this.#sink = sink;
  }

  /** @throws {ProtocolError} the position in the stream is lost */
  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length;) {
      const take = this.#size === 0 ? 1 : Math.min(this.#size - this.#seen, chunk.length - at);
      this.#keep(chunk.subarray(at, at + take));
      at += take;
      this.#seen += take;
      if (this.#size === 0) this.#size = this.#sink.sizeOf(this.#kept, this.#length);
      if (this.#size > 0 && this.#seen >= this.#size) this.#emit();
    }
  }

  #keep(bytes: Uint8Array): void {
    const room = KEEP - this.#length;
    if (room === 0 && this.#size === 0) throw new ProtocolError("a header is too long");
    const taken = bytes.subarray(0, room);
    const needed = this.#length + taken.length;
    if (needed > this.#kept.length) {
      const grown = new Uint8Array(Math.min(KEEP, Math.max(needed, this.#kept.length * 2)));
      grown.set(this.#kept.subarray(0, this.#length));
      this.#kept = grown;
    }
    this.#kept.set(taken, this.#length);
    this.#length = needed;
  }

  #emit(): void {
    const [bytes, size] = [this.#kept.subarray(0, this.#length), this.#size];
    this.#length = this.#size = this.#seen = 0;
    // An idle connection needs no memory for its last large unit.
    if (this.#kept.length > SMALL) this.#kept = new Uint8Array(SMALL);
    this.#sink.onUnit(bytes, size);
  }
}
