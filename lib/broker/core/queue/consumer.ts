import type { FieldTable } from "../../../amqp/types/field_value.ts";
import type { Queue } from "./queue.ts";

/** The part of a channel that a queue needs to deliver to it. */
export interface ConsumingChannel {
  /** Whether it can take a message that needs no acknowledgement. */
  readonly writable: boolean;
  /** Whether it can also take another message that must be acknowledged. */
  readonly hasRoom: boolean;
  /** Sends the message that `queue` has just taken: `takenLane`, `takenSeq`. */
  deliver(consumer: QueueConsumer, queue: Queue): void;
  /** Informs the client that the broker has cancelled the consumer. */
  onCancelled(consumer: QueueConsumer): void;
}

/** The options of a consumer. */
export interface QueueConsumerOptions {
  readonly tag: string;
  readonly noAck: boolean;
  readonly exclusive: boolean;
  /** Consumers with a higher priority are served first. */
  readonly priority: number;
  /** The limit of unacknowledged messages; 0 for no limit. */
  readonly prefetch: number;
  readonly arguments: FieldTable;
}

/** One consumer of a queue (AMQP 0-9-1, 3.1.5 and basic.consume). */
export class QueueConsumer {
  readonly queue: Queue;
  readonly channel: ConsumingChannel;
  readonly options: QueueConsumerOptions;
  /** The number of delivered and unacknowledged messages. */
  unacked = 0;

  constructor(queue: Queue, channel: ConsumingChannel, options: QueueConsumerOptions) {
    this.queue = queue;
    this.channel = channel;
    this.options = options;
  }

  /** Whether it can take another message. */
  get hasRoom(): boolean {
    const { prefetch, noAck } = this.options;
    if (noAck) return this.channel.writable;
    return (prefetch === 0 || this.unacked < prefetch) && this.channel.hasRoom;
  }
}

/** The consumers of one priority, served in turn. */
interface Rank {
  readonly priority: number;
  /** The consumers in line, a ring that starts at `next`. */
  readonly line: QueueConsumer[];
  next: number;
  /** Consumers that had no room at their turn; they return to the end of the line when they have room. */
  readonly aside: QueueConsumer[];
}

/** Chooses the consumer of the next message: the highest priority with room, and within it in turn, as in RabbitMQ. */
export class ConsumerList {
  /** With `singleActive`: the only consumer that is served. */
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

  /** Returns consumers that have room again to the line. */
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

  /** The next consumer in turn that has room. */
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

/** Adds a consumer at the end of the line, which is before the next one in the ring. */
function queueUp(rank: Rank, consumer: QueueConsumer): void {
  if (rank.next >= rank.line.length) rank.next = 0;
  if (rank.next === 0) rank.line.push(consumer);
  else rank.line.splice(rank.next++, 0, consumer);
}

function leave(rank: Rank, at: number): void {
  rank.line.splice(at, 1);
  if (rank.next > at) rank.next--;
}
