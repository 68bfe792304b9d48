import type { QueueConsumer } from "../queue/consumer.ts";
import type { Queue } from "../queue/queue.ts";

/** The greatest number of unsettled deliveries of a channel. */
const MAX_COUNT = 2 ** 22;
const FIRST_SIZE = 16;

/**
 * The unacknowledged deliveries of a channel, by delivery tag, which counts from 1: a ring of parallel arrays with
 * ascending tags. A settled delivery leaves a hole, and holes are removed when the ring is full, so its size depends on
 * the unsettled deliveries only. Deliveries that need no acknowledgement take no space.
 */
export class Deliveries {
  /** The source of each delivery; the index is `slotOf(tag)`. A slot without a queue is a hole. */
  queues: (Queue | undefined)[] = [];
  consumers: (QueueConsumer | undefined)[] = [];
  lanes: Uint8Array = new Uint8Array(0);
  seqs: Float64Array = new Float64Array(0);
  /** The lowest tag that may be unsettled. */
  first = 1;
  /** The last tag that was used. */
  last = 0;
  /** Number of unsettled deliveries. */
  count = 0;
  #tags = new Float64Array(0);
  #mask = -1;
  /** The ring has the positions from `#head` to `#tail`, excluded; a slot is a position masked. */
  #head = 0;
  #tail = 0;

  /** Whether another delivery can be recorded. */
  get hasRoom(): boolean {
    return this.count < MAX_COUNT;
  }

  /** The number of slots, for tests. */
  get size(): number {
    return this.#mask + 1;
  }

  /** Returns the tag for a delivery that needs no acknowledgement. */
  skip(): number {
    const tag = ++this.last;
    if (this.count === 0) this.first = tag + 1;
    return tag;
  }

  /**
   * Records a delivery and returns its tag.
   *
   * @param consumer undefined: the message was requested with `basic.get`
   */
  add(queue: Queue, lane: number, seq: number, consumer: QueueConsumer | undefined): number {
    const tag = ++this.last;
    if (this.count === 0) {
      this.first = tag;
      this.#head = this.#tail;
    } else if (this.#tail - this.#head > this.#mask) this.#makeRoom();
    if (this.#mask < 0) this.#resize(FIRST_SIZE);
    const slot = this.#tail++ & this.#mask;
    this.#tags[slot] = tag;
    this.queues[slot] = queue;
    this.consumers[slot] = consumer;
    this.lanes[slot] = lane;
    this.seqs[slot] = seq;
    this.count++;
    return tag;
  }

  /** The slot of an unsettled tag; -1 when the tag is unknown or settled. */
  slotOf(tag: number): number {
    if (tag < this.first || tag > this.last || this.count === 0) return -1;
    // Without holes and skipped tags this is the position.
    let slot = this.#head + tag - this.first & this.#mask;
    if (this.#tags[slot] !== tag) {
      const position = this.#search(tag);
      slot = position & this.#mask;
      if (position === this.#tail || this.#tags[slot] !== tag) return -1;
    }
    return this.queues[slot] === undefined ? -1 : slot;
  }

  /** Returns the lowest unsettled tag that is at least `from`; Infinity if there is none. */
  next(from: number): number {
    if (this.count === 0) return Infinity;
    for (let at = this.#search(from); at < this.#tail; at++) {
      const slot = at & this.#mask;
      if (this.queues[slot] !== undefined) return this.#tags[slot]!;
    }
    return Infinity;
  }

  /** Removes an unsettled tag. */
  settle(tag: number, slot: number): void {
    this.queues[slot] = this.consumers[slot] = undefined;
    this.count--;
    if (tag !== this.first) return;
    if (this.count === 0) {
      this.#head = this.#tail;
      this.first = this.last + 1;
    } else {
      do this.#head++; while (this.queues[this.#head & this.#mask] === undefined);
      this.first = this.#tags[this.#head & this.#mask]!;
    }
  }

  /** Returns the first position whose tag is at least `tag`; the tail if there is none. */
  #search(tag: number): number {
    let low = this.#head;
    let high = this.#tail;
    while (low < high) {
      const middle = low + (high - low >> 1);
      if (this.#tags[middle & this.#mask]! < tag) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Removes the holes, or grows if there are few. */
  #makeRoom(): void {
    const size = this.#mask + 1;
    this.#resize(this.count > size / 2 ? 2 * size : size);
  }

  /** Moves the unsettled deliveries, in order, to a ring of this size. */
  #resize(size: number): void {
    const tags = new Float64Array(size);
    const queues = new Array<Queue | undefined>(size).fill(undefined);
    const consumers = new Array<QueueConsumer | undefined>(size).fill(undefined);
    const lanes = new Uint8Array(size);
    const seqs = new Float64Array(size);
    let to = 0;
    for (let at = this.#head; at < this.#tail; at++) {
      const from = at & this.#mask;
      if (this.queues[from] === undefined) continue;
      tags[to] = this.#tags[from]!;
      queues[to] = this.queues[from];
      consumers[to] = this.consumers[from];
      lanes[to] = this.lanes[from]!;
      seqs[to] = this.seqs[from]!;
      to++;
    }
    this.#tags = tags;
    this.queues = queues;
    this.consumers = consumers;
    this.lanes = lanes;
    this.seqs = seqs;
    this.#mask = size - 1;
    this.#head = 0;
    this.#tail = to;
  }
}
