/** A channel that waits until there is memory for the body of its message. */
export interface BodyWaiter {
  /** The size of the body, in bytes. */
  readonly size: number;
  /** The memory is reserved. */
  admit(): void;
}

/**
 * The memory for bodies that arrive in several frames, shared by all connections. A single body is always accepted. The
 * others wait in line while the limit is reached.
 */
export class BodyBudget {
  /** In bytes. */
  readonly limit: number;
  #used = 0;
  readonly #line: BodyWaiter[] = [];

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Whether a channel waits. */
  get crowded(): boolean {
    return this.#line.length > 0;
  }

  /** Reserves memory for a body. @returns whether there was enough */
  reserve(size: number): boolean {
    if (this.crowded || !this.#fits(size)) return false;
    this.#used += size;
    return true;
  }

  /** Calls `admit` when the memory is reserved. */
  wait(waiter: BodyWaiter): void {
    this.#line.push(waiter);
  }

  /** Removes a channel that does not wait any longer. */
  leave(waiter: BodyWaiter): void {
    const at = this.#line.indexOf(waiter);
    if (at < 0) return;
    this.#line.splice(at, 1);
    this.free(0);
  }

  /** Returns the memory of a body that is complete or discarded. */
  free(size: number): void {
    this.#used -= size;
    for (let first; (first = this.#line[0]) !== undefined && this.#fits(first.size);) {
      this.#line.shift();
      this.#used += first.size;
      first.admit();
    }
  }

  #fits(size: number): boolean {
    return this.#used === 0 || this.#used + size <= this.limit;
  }
}
