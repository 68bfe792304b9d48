import type { FieldTable } from "../../../amqp/types/field_value.ts";
import type { TracedClient } from "../firehose.ts";
import type { Filter } from "../../../filter/filter.ts";
import { Matches } from "./matches.ts";
import type { Queue } from "./queue.ts";

/** The part of a channel that a queue needs to deliver to it. */
export interface ConsumingChannel {
  /** Whether it can take a message that needs no acknowledgement. */
  readonly writable: boolean;
  /** Whether it can also take another message that must be acknowledged. */
  readonly hasRoom: boolean;
  /** The client, for the trace; undefined when it is not connected. */
  readonly client: TracedClient | undefined;
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
  /** Which messages the consumer gets. Default: all. */
  readonly filter?: Filter | undefined;
  /** With a filter: whether the consumer ends when all messages that are in the queue now have been tested. */
  readonly drain?: boolean;
}

/** One consumer of a queue (AMQP 0-9-1, 3.1.5 and basic.consume). */
export class QueueConsumer {
  readonly queue: Queue;
  readonly channel: ConsumingChannel;
  readonly options: QueueConsumerOptions;
  /** The number of delivered and unacknowledged messages. */
  unacked = 0;
  /** The messages that match its filter; undefined if it gets all messages. */
  readonly matches: Matches | undefined;

  constructor(queue: Queue, channel: ConsumingChannel, options: QueueConsumerOptions) {
    this.queue = queue;
    this.channel = channel;
    this.options = options;
    this.matches = options.filter === undefined
      ? undefined
      : new Matches(queue, options.filter, !options.drain);
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

/**
 * Chooses the consumer of the next message: the highest priority with room, and within it in turn, as in RabbitMQ.
 * Consumers with a filter are apart: they come first for the messages that match.
 */
export class ConsumerList {
  /** With `singleActive`: the only consumer that is served. */
  active: QueueConsumer | undefined;
  size = 0;
  /** The consumers with a filter. */
  readonly filtered: QueueConsumer[] = [];

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
    yield* this.filtered;
  }

  /** Whether one of them consumes exclusively. */
  get exclusive(): boolean {
    return this.size === 1 && this.#first()!.options.exclusive;
  }

  add(consumer: QueueConsumer): void {
    if (consumer.matches !== undefined) this.filtered.push(consumer);
    else queueUp(this.#rankOf(consumer.options.priority), consumer);
    this.size++;
    if (this.#singleActive) this.active ??= consumer;
  }

  remove(consumer: QueueConsumer): void {
    if (!this.#removeFiltered(consumer) && !this.#removeRanked(consumer)) return;
    this.size--;
    if (this.active === consumer) this.active = this.#first();
  }

  /** Whether a consumer with a filter can take a message that matches. */
  accepts(consumer: QueueConsumer): boolean {
    return consumer.hasRoom && (!this.#singleActive || this.active === consumer);
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
    if (this.#singleActive) {
      const { active } = this;
      return active?.matches === undefined && active?.hasRoom ? active : undefined;
    }
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
    return rank?.line[0] ?? rank?.aside[0] ?? this.filtered[0];
  }

  #rankOf(priority: number): Rank {
    let at = 0;
    while (at < this.#ranks.length && this.#ranks[at]!.priority > priority) at++;
    if (this.#ranks[at]?.priority !== priority) {
      this.#ranks.splice(at, 0, { priority, line: [], next: 0, aside: [] });
    }
    return this.#ranks[at]!;
  }

  #removeFiltered(consumer: QueueConsumer): boolean {
    const at = this.filtered.indexOf(consumer);
    if (at >= 0) this.filtered.splice(at, 1);
    return at >= 0;
  }

  #removeRanked(consumer: QueueConsumer): boolean {
    const rank = this.#ranks.find(({ line, aside }) => line.includes(consumer) || aside.includes(consumer));
    if (rank === undefined) return false;
    const { line, aside } = rank;
    const at = line.indexOf(consumer);
    if (at < 0) aside.splice(aside.indexOf(consumer), 1);
    else leave(rank, at);
    if (line.length + aside.length === 0) this.#ranks = this.#ranks.filter((one) => one !== rank);
    return true;
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
