/**
 * Buffers of one size that are used again and again. Fresh memory is the most expensive part of moving bytes: the system
 * clears it page by page.
 */
export class BufferPool implements BufferOwner {
  /** The length of each buffer, in bytes. */
  readonly size: number;
  readonly #most: number;
  readonly #free: Uint8Array[] = [];

  /** @param most how many unused buffers are kept */
  constructor(size: number, most: number) {
    this.size = size;
    this.#most = most;
  }

  /** Returns a buffer with arbitrary contents. */
  take(): Uint8Array {
    return this.#free.pop() ?? new Uint8Array(this.size);
  }

  /** Takes back a buffer that nothing uses any more. Buffers of other sizes are left to the garbage collector. */
  give(buffer: Uint8Array): void {
    if (buffer.length === this.size && this.#free.length < this.#most) this.#free.push(buffer);
  }
}

/** Buffers of different sizes that are used again. The oldest are released when there are too many. */
export class LargeBuffers implements BufferOwner {
  readonly #most: number;
  readonly #free: Uint8Array[] = [];
  #total = 0;

  /** @param most the length of all kept buffers together, in bytes */
  constructor(most: number) {
    this.#most = most;
  }

  /** Returns the smallest buffer of at least `size` bytes, with arbitrary contents, or undefined. */
  take(size: number): Uint8Array | undefined {
    let best = -1;
    for (let i = 0; i < this.#free.length; i++) {
      const { length } = this.#free[i]!;
      if (length >= size && (best < 0 || length < this.#free[best]!.length)) best = i;
    }
    if (best < 0) return undefined;
    const [buffer] = this.#free.splice(best, 1);
    this.#total -= buffer!.length;
    return buffer;
  }

  /** Takes back a buffer that nothing uses any more. */
  give(buffer: Uint8Array): void {
    if (buffer.length > this.#most / 2) return;
    this.#free.push(buffer);
    this.#total += buffer.length;
    while (this.#total > this.#most) this.#total -= this.#free.shift()!.length;
  }
}

/** Takes back buffers. */
export interface BufferOwner {
  give(buffer: Uint8Array): void;
}

/**
 * The right to use the contents of a buffer after a call: the owner gets the buffer back when the last user has released
 * it. A user that never does so leaves the buffer to the garbage collector.
 */
export class Lease {
  readonly buffer: Uint8Array;
  readonly #owner: BufferOwner;
  /** The first user is the one that makes the lease. */
  #users = 1;

  constructor(buffer: Uint8Array, owner: BufferOwner) {
    this.buffer = buffer;
    this.#owner = owner;
  }

  /** Adds a user. */
  retain(): void {
    this.#users++;
  }

  /** Removes a user. */
  release(): void {
    if (--this.#users === 0) this.#owner.give(this.buffer);
  }
}
