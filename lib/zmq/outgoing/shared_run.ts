import type { SharedFrames } from "../../zmtp/outbox.ts";

/** The smallest and the largest buffer, and how many are kept of each size. */
const MIN_BUFFER = 2 ** 12;
const MAX_BUFFER = 2 ** 20;
const SPARES = 4;

/** Buffers of a few sizes for encoded runs: a run occupies at least half of its buffer, unless it is short. */
export class RunBuffers {
  /** By size. */
  readonly #spares = new Map<number, Uint8Array[]>();

  /** Returns a buffer of at least `length` bytes. */
  take(length: number): Uint8Array {
    if (length > MAX_BUFFER) return new Uint8Array(length);
    let size = MIN_BUFFER;
    while (size < length) size *= 2;
    return this.#spares.get(size)?.pop() ?? new Uint8Array(size);
  }

  /** Copies a run to the beginning of a buffer of its size. */
  copy(run: Uint8Array): Uint8Array {
    const buffer = this.take(run.length);
    buffer.set(run);
    return buffer.subarray(0, run.length);
  }

  /** Takes a buffer back that nothing refers to any more. */
  give(buffer: Uint8Array): void {
    if (buffer.length > MAX_BUFFER) return;
    const spares = this.#spares.get(buffer.length);
    if (spares === undefined) this.#spares.set(buffer.length, [buffer]);
    else if (spares.length < SPARES) spares.push(buffer);
  }
}

/** Encoded messages that the queues of several subscribers refer to. The buffer is reused when all have been written. */
export class SharedRun implements SharedFrames {
  readonly bytes: Uint8Array;
  readonly #buffers: RunBuffers;
  /** How many queues refer to the bytes, and the publisher itself. */
  #users = 1;

  /** @param bytes the beginning of a buffer of `buffers` */
  constructor(bytes: Uint8Array, buffers: RunBuffers) {
    this.bytes = bytes;
    this.#buffers = buffers;
  }

  retain(): void {
    this.#users++;
  }

  release(): void {
    if (--this.#users === 0) this.#buffers.give(new Uint8Array(this.bytes.buffer));
  }
}
