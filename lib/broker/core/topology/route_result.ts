import type { Queue } from "../queue/queue.ts";

/** Up to this number of queues a search through them beats a set. */
const FEW = 16;

/** The queues that a message goes to, each of them once; one object for all messages. */
export class RouteResult {
  /** The first `length` count. */
  readonly queues: Queue[] = [];
  length = 0;
  /** Whether the message has a header `BCC`, which those who get it may not see. */
  blindCopies = false;
  /** How long the message waits where it is delayed, in milliseconds. */
  delay = 0;
  readonly #seen = new Set<Queue>();

  clear(): void {
    this.length = 0;
    this.blindCopies = false;
    this.delay = 0;
    if (this.#seen.size > 0) this.#seen.clear();
  }

  /** Takes queues that are distinct, in place of those that there are. */
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

  /** Keeps those queues that pass the test. */
  retain(test: (queue: Queue) => boolean): void {
    let kept = 0;
    for (let i = 0; i < this.length; i++) {
      const queue = this.queues[i]!;
      if (test(queue)) this.queues[kept++] = queue;
    }
    this.length = kept;
  }

  /** A list of its own. */
  toArray(): Queue[] {
    return this.queues.slice(0, this.length);
  }
}
