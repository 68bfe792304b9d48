/** The number of spare buffers that are kept. */
const SPARES = 1;

/** A pool of buffers of one size for the segments. Allocating a buffer costs as much as filling it. */
export class Buffers {
  readonly size: number;
  readonly #spares: Uint8Array[] = [];

  constructor(size: number) {
    this.size = size;
  }

  /** Returns a buffer with at least `needed` bytes. */
  take(needed: number): Uint8Array {
    if (needed > this.size) return new Uint8Array(needed);
    return this.#spares.pop() ?? new Uint8Array(this.size);
  }

  /** Returns a buffer to the pool. */
  give(bytes: Uint8Array): void {
    if (bytes.length === this.size && this.#spares.length < SPARES) this.#spares.push(bytes);
  }
}
