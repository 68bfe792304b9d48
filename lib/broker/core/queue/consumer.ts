import type { FieldTable } from "../../../amqp/types/field_value.ts";
import type { Queue } from "./queue.ts";

/** What a queue needs of the channel that consumes from it. */
export interface ConsumingChannel {
  /** Whether its connection's output has room. */
  readonly writable: boolean;
  /** Whether it can take another message that is to be acknowledged, too. */
  readonly hasRoom: boolean;
  /** Sends the message that `queue` has just taken: `takenLane`, `takenSeq`. */
  deliver(consumer: QueueConsumer, queue: Queue): void;
  /** Tells the client that the broker ended the consumer. */
  onCancelled(consumer: QueueConsumer): void;
}

/** How a consumer was made. */
export interface QueueConsumerOptions {
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
export class QueueConsumer {
  readonly queue: Queue;
  readonly channel: ConsumingChannel;
  readonly options: QueueConsumerOptions;
  /** Messages that were delivered and not acknowledged. */
  unacked = 0;

  constructor(queue: Queue, channel: ConsumingChannel, options: QueueConsumerOptions) {
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
  /** Those in line: it begins at `next`, and goes round. */
  readonly line: QueueConsumer[];
  next: number;
  /** Those that had no room when it was their turn; they go to the end of the line once they have. */
  readonly aside: QueueConsumer[];
}

/** Who gets the next message: the highest priority that has room, and in it each in turn, as in RabbitMQ. */
export class ConsumerList {
  /** The only one that is served, with `singleActive`. */
  active: QueueConsumer | undefined;
  size = 0;

  readonly #singleActive: boolean;
  /** From the highest priority down. */
  #ranks: Rank[] = [];

  constructor(singleActive: boolean) {
    this.#singleActive = singleActive;
  }

  *[Symbol.iterator](): Iterator<QueueConsumer> {
    for (const { line, aside } of this.#ranks) {
      yield* line;
      yield* aside;
    }
  }

  /** Whether one of them consumes exclusively. */
  get exclusive(): boolean {
    return this.size === 1 && this.#first()!.options.exclusive;
  }

  add(consumer: QueueConsumer): void {
    const { priority } = consumer.options;
    let at = 0;
    while (at < this.#ranks.length && this.#ranks[at]!.priority > priority) at++;
    if (this.#ranks[at]?.priority !== priority) {
      this.#ranks.splice(at, 0, { priority, line: [], next: 0, aside: [] });
    }
    queueUp(this.#ranks[at]!, consumer);
    this.size++;
    if (this.#singleActive) this.active ??= consumer;
  }

  remove(consumer: QueueConsumer): void {
    const rank = this.#ranks.find(({ line, aside }) => line.includes(consumer) || aside.includes(consumer));
    if (rank === undefined) return;
    const { line, aside } = rank;
    const at = line.indexOf(consumer);
    if (at < 0) aside.splice(aside.indexOf(consumer), 1);
    else leave(rank, at);
    if (line.length + aside.length === 0) this.#ranks = this.#ranks.filter((one) => one !== rank);
    this.size--;
    if (this.active === consumer) this.active = this.#first();
  }

  /** Lets those in line again that have room by now. */
  refresh(): void {
    for (const rank of this.#ranks) {
      const { aside } = rank;
      if (aside.length === 0) continue;
      let left = 0;
      for (const consumer of aside) {
        if (consumer.hasRoom) queueUp(rank, consumer);
        else aside[left++] = consumer;
      }
      aside.length = left;
    }
  }

  /** The consumer whose turn it is, among those that have room. */
  next(): QueueConsumer | undefined {
    if (this.#singleActive) return this.active?.hasRoom === true ? this.active : undefined;
    for (const rank of this.#ranks) {
      const { line } = rank;
      while (line.length > 0) {
        if (rank.next >= line.length) rank.next = 0;
        const consumer = line[rank.next]!;
        if (consumer.hasRoom) {
          rank.next++;
          return consumer;
        }
        leave(rank, rank.next);
        rank.aside.push(consumer);
      }
    }
    return undefined;
  }

  #first(): QueueConsumer | undefined {
    const rank = this.#ranks[0];
    return rank?.line[0] ?? rank?.aside[0];
  }
}

/** At the end of the line, which is in front of whose turn it is. */
function queueUp(rank: Rank, consumer: QueueConsumer): void {
  if (rank.next >= rank.line.length) rank.next = 0;
  if (rank.next === 0) rank.line.push(consumer);
  else rank.line.splice(rank.next++, 0, consumer);
}

function leave(rank: Rank, at: number): void {
  rank.line.splice(at, 1);
  if (rank.next > at) rank.next--;
}
