/** How many buffers wait to be used again. */
const SPARES = 1;

/** Buffers of one size, which segments use one after the other: to make one costs as much as to fill it. */
export class Buffers {
  readonly size: number;
  readonly #spares: Uint8Array[] = [];

  constructor(size: number) {
    this.size = size;
  }

  /** At least `needed` bytes. */
  take(needed: number): Uint8Array {
    if (needed > this.size) return new Uint8Array(needed);
    return this.#spares.pop() ?? new Uint8Array(this.size);
  }

  give(bytes: Uint8Array): void {
    if (bytes.length === this.size && this.#spares.length < SPARES) this.#spares.push(bytes);
  }
}
