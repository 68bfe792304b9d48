import type { Queue } from "../queue/queue.ts";

/** Up to this number of queues, a linear search is faster than a set. */
const FEW = 16;

/** The queues that a message is routed to, each queue once. One object is reused for all messages. */
export class RouteResult {
  /** Only the first `length` entries are valid. */
  readonly queues: Queue[] = [];
  length = 0;
  /** Whether the message has a header `BCC`, which must be removed before delivery. */
  blindCopies = false;
  /** The delay of a delayed message, in milliseconds. */
  delay = 0;
  readonly #seen = new Set<Queue>();

  /** Removes all queues. */
  clear(): void {
    this.length = 0;
    this.blindCopies = false;
    this.delay = 0;
    if (this.#seen.size > 0) this.#seen.clear();
  }

  /** Replaces the content with queues that are distinct. */
  take(queues: readonly Queue[]): void {
    this.clear();
    for (let i = 0; i < queues.length; i++) this.queues[i] = queues[i]!;
    this.length = queues.length;
  }

  add(queue: Queue): void {
    if (this.length < FEW) {
      for (let i = 0; i < this.length; i++) if (this.queues[i] === queue) return;
    } else {
      if (this.#seen.size === 0) { for (let i = 0; i < this.length; i++) this.#seen.add(this.queues[i]!); }
      if (this.#seen.has(queue)) return;
    }
    if (this.#seen.size > 0) this.#seen.add(queue);
    this.queues[this.length++] = queue;
  }

  /** Keeps the queues that pass the test. */
  retain(test: (queue: Queue) => boolean): void {
    let kept = 0;
    for (let i = 0; i < this.length; i++) {
      const queue = this.queues[i]!;
      if (test(queue)) this.queues[kept++] = queue;
    }
    this.length = kept;
  }

  /** Copies the queues to a new array. */
  toArray(): Queue[] {
    return this.queues.slice(0, this.length);
  }
}
