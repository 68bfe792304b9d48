import type { QueueConsumer } from "../queue/consumer.ts";
import type { Queue } from "../queue/queue.ts";

/** The greatest distance between the oldest unacknowledged delivery of a channel and the newest, in deliveries. */
const MAX_SPAN = 2 ** 22;
const FIRST_SIZE = 16;

/**
 * The unacknowledged deliveries of a channel: a ring of parallel arrays by delivery tag, which counts from 1. A slot
 * without a queue is settled or needs no acknowledgement.
 */
export class Deliveries {
  /** The source of each delivery; the index is `slotOf(tag)`. */
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
  #mask = -1;

  /** Whether another delivery can be recorded. */
  get hasRoom(): boolean {
    return this.last - this.first < MAX_SPAN;
  }

  /** Returns the tag for a delivery that needs no acknowledgement. */
  skip(): number {
    const tag = ++this.last;
    if (this.count === 0) this.first = tag + 1;
    else {
      if (tag - this.first > this.#mask) this.#grow();
      this.queues[tag & this.#mask] = undefined;
    }
    return tag;
  }

  /**
   * Records a delivery and returns its tag.
   *
   * @param consumer undefined: the message was requested with `basic.get`
   */
  add(queue: Queue, lane: number, seq: number, consumer: QueueConsumer | undefined): number {
    const tag = ++this.last;
    if (this.count === 0) this.first = tag;
    if (tag - this.first > this.#mask) this.#grow();
    const slot = tag & this.#mask;
    this.queues[slot] = queue;
    this.consumers[slot] = consumer;
    this.lanes[slot] = lane;
    this.seqs[slot] = seq;
    this.count++;
    return tag;
  }

  /** The slot of an unsettled tag; -1 when the tag is unknown or settled. */
  slotOf(tag: number): number {
    if (tag < this.first || tag > this.last) return -1;
    const slot = tag & this.#mask;
    return this.queues[slot] === undefined ? -1 : slot;
  }

  /** Removes an unsettled tag. */
  settle(tag: number, slot: number): void {
    this.queues[slot] = this.consumers[slot] = undefined;
    this.count--;
    if (tag !== this.first) return;
    if (this.count === 0) this.first = this.last + 1;
    else do this.first++; while (this.queues[this.first & this.#mask] === undefined);
  }

  #grow(): void {
    const size = (this.#mask + 1) * 2 || FIRST_SIZE;
    const mask = size - 1;
    const queues = new Array<Queue | undefined>(size).fill(undefined);
    const consumers = new Array<QueueConsumer | undefined>(size).fill(undefined);
    const lanes = new Uint8Array(size);
    const seqs = new Float64Array(size);
    for (let tag = this.first; tag < this.last; tag++) {
      const from = tag & this.#mask;
      const to = tag & mask;
      queues[to] = this.queues[from];
      consumers[to] = this.consumers[from];
      lanes[to] = this.lanes[from]!;
      seqs[to] = this.seqs[from]!;
    }
    this.queues = queues;
    this.consumers = consumers;
    this.lanes = lanes;
    this.seqs = seqs;
    this.#mask = mask;
  }
}
