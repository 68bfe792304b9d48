import type { FieldTable } from "../../amqp/types/field_value.ts";
import type { Queue } from "./queue.ts";

/** What a queue needs of the channel that consumes from it. */
export interface ConsumingChannel {
  /** Whether its connection's output has room. */
  readonly writable: boolean;
  /** Whether it can take another message that is to be acknowledged, too. */
  readonly hasRoom: boolean;
  /** Sends the message that `queue` has just taken: `takenLane`, `takenSeq`. */
  deliver(consumer: Consumer, queue: Queue): void;
  /** Tells the client that the broker ended the consumer. */
  onCancelled(consumer: Consumer): void;
}

/** How a consumer was made. */
export interface ConsumerOptions {
  readonly tag: string;
  readonly noAck: boolean;
  readonly exclusive: boolean;
  /** Higher ones are served first. */
  readonly priority: number;
  /** Messages that may be unacknowledged at a time; 0 for any number. */
  readonly prefetch: number;
  readonly arguments: FieldTable;
}

/** One consumer of a queue (AMQP 0-9-1, 3.1.5 and basic.consume). */
export class Consumer {
  readonly queue: Queue;
  readonly channel: ConsumingChannel;
  readonly options: ConsumerOptions;
  /** Messages that were delivered and not acknowledged. */
  unacked = 0;

  constructor(queue: Queue, channel: ConsumingChannel, options: ConsumerOptions) {
    this.queue = queue;
    this.channel = channel;
    this.options = options;
  }

  /** Whether it can be given another message. */
  get hasRoom(): boolean {
    const { prefetch, noAck } = this.options;
    if (noAck) return this.channel.writable;
    return (prefetch === 0 || this.unacked < prefetch) && this.channel.hasRoom;
  }
}

/** The consumers of one priority, served in turn. */
interface Rank {
  readonly priority: number;
  readonly consumers: Consumer[];
  next: number;
}

/** Who gets the next message: the highest priority that has room, and in it each in turn. */
export class ConsumerList {
  /** The only one that is served, with `singleActive`. */
  active: Consumer | undefined;
  size = 0;

  readonly #singleActive: boolean;
  /** From the highest priority down. */
  #ranks: Rank[] = [];

  constructor(singleActive: boolean) {
    this.#singleActive = singleActive;
  }

  *[Symbol.iterator](): Iterator<Consumer> {
    for (const rank of this.#ranks) yield* rank.consumers;
  }

  /** Whether one of them consumes exclusively. */
  get exclusive(): boolean {
    return this.size === 1 && this.#ranks[0]!.consumers[0]!.options.exclusive;
  }

  add(consumer: Consumer): void {
    const { priority } = consumer.options;
    let at = 0;
    while (at < this.#ranks.length && this.#ranks[at]!.priority > priority) at++;
    if (this.#ranks[at]?.priority !== priority) {
      this.#ranks.splice(at, 0, { priority, consumers: [], next: 0 });
    }
    this.#ranks[at]!.consumers.push(consumer);
    this.size++;
    if (this.#singleActive) this.active ??= consumer;
  }

  remove(consumer: Consumer): void {
    const rank = this.#ranks.find((one) => one.consumers.includes(consumer));
    if (rank === undefined) return;
    const at = rank.consumers.indexOf(consumer);
    rank.consumers.splice(at, 1);
    if (rank.next > at) rank.next--;
    if (rank.consumers.length === 0) this.#ranks = this.#ranks.filter((one) => one !== rank);
    this.size--;
    if (this.active === consumer) this.active = this.#ranks[0]?.consumers[0];
  }

  /** The consumer whose turn it is, among those that have room. */
  next(): Consumer | undefined {
    if (this.#singleActive) return this.active?.hasRoom === true ? this.active : undefined;
    for (const rank of this.#ranks) {
      const { consumers } = rank;
      const count = consumers.length;
      let at = rank.next;
      for (let tried = 0; tried < count; tried++) {
        if (at >= count) at = 0;
        const consumer = consumers[at++]!;
        if (consumer.hasRoom) {
          rank.next = at;
          return consumer;
        }
      }
    }
    return undefined;
  }
}
