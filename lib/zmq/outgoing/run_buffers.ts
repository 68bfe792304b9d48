import { type BufferOwner, BufferPool } from "../../zmtp/buffers.ts";

/** The smallest and the largest buffer, and how many are kept of each size. */
const MIN_BUFFER = 2 ** 12;
const MAX_BUFFER = 2 ** 20;
const SPARES = 4;

/** Buffers of a few sizes for encoded runs: a run occupies at least half of its buffer, unless it is short. */
export class RunBuffers implements BufferOwner {
  /** By size, in ascending order. */
  readonly #pools: BufferPool[] = [];

  constructor() {
    for (let size = MIN_BUFFER; size <= MAX_BUFFER; size *= 2) this.#pools.push(new BufferPool(size, SPARES));
  }

  /** Returns a buffer of at least `length` bytes. */
  take(length: number): Uint8Array {
    for (const pool of this.#pools) if (pool.size >= length) return pool.take();
    return new Uint8Array(length);
  }

  /** Takes back a buffer that nothing refers to any more. */
  give(buffer: Uint8Array): void {
    for (const pool of this.#pools) pool.give(buffer);
  }
}
