/** A queue without a broker, which keeps what it tells the journal and the broker, and the times of its timers. */
import type { FieldTable } from "../../../../../lib/amqp/types/field_value.ts";
import { encodeMessage } from "../../../../../lib/broker/core/message.ts";
import { type ConsumingChannel, QueueConsumer } from "../../../../../lib/broker/core/queue/consumer.ts";
import { type DelayHost, DelayQueue } from "../../../../../lib/broker/core/queue/delay_queue.ts";
import { Queue, type QueueHost } from "../../../../../lib/broker/core/queue/queue.ts";
import { TestClock } from "../../../../../lib/broker/testing/test_clock.ts";

export const START = 1_000_000;
export const DAY = 86_400_000;

/** The longest time of a timer, in milliseconds. */
export const LONGEST = 2 ** 31 - 1;

export interface Given {
  arguments?: FieldTable;
  durable?: boolean;
  autoDelete?: boolean;
  /** Whether a message that survives a restart replaces a dead one, or a delayed one. */
  replaces?: boolean;
  /** Whether it holds the messages of an exchange until they are due. */
  delays?: boolean;
}

/** A queue, and what it did. */
export class Scene {
  readonly clock = new TestClock({ start: START });
  /** The times of the timers that it has started, in milliseconds. */
  readonly waits: number[] = [];
  /** What it told the journal and the broker, in order. */
  readonly told: string[] = [];
  readonly cycle: { now: number } & QueueHost["cycle"];
  readonly queue: Queue;
  /** Why the broker takes no messages. */
  blocked: string | undefined;
  /** The messages that cannot be read. */
  readonly damaged = new Set<number>();
  #depth = 0;
  #sent = 0;

  constructor(
    { arguments: args = {}, durable = true, autoDelete = false, replaces = false, delays }: Given = {},
  ) {
    const { clock, told, waits } = this;
    this.cycle = {
      now: START,
      clock: Object.assign(Object.create(clock) as TestClock, {
        now: () => clock.now(),
        clearTimeout: (timer: unknown) => clock.clearTimeout(timer),
        setTimeout: (callback: () => void, ms: number) => {
          waits.push(ms);
          return clock.setTimeout(callback, ms);
        },
      }),
      wake: (queue) => void (queue.awake = true),
      begin: () => {
        this.#depth++;
        this.cycle.now = clock.now();
      },
      end: () => {
        if (--this.#depth === 0) this.work();
      },
    };
    const encoded = encodeMessage({ exchange: "", routingKey: "k" }, {}, new Uint8Array(3));
    const definition = {
      id: 7,
      vhost: "/",
      name: "q",
      durable,
      exclusive: false,
      autoDelete,
      arguments: args,
    };
    const isBlocked = () => this.blocked;
    const host: DelayHost = {
      journal: {
        read: (_segment, _offset, _id, seq) => this.damaged.has(seq!) ? undefined : encoded,
        settle: (...settled) => void told.push(`settle ${settled.join(" ")}`),
        delivered: (...mark) => void told.push(`delivered ${mark.join(" ")}`),
        deliveredOne: (...mark) => void told.push(`deliveredOne ${mark.join(" ")}`),
        settledOne: (...mark) => void told.push(`settledOne ${mark.join(" ")}`),
      },
      cycle: this.cycle,
      deadLetter: (_queue, _message, reason, lane, seq) => {
        told.push(`dead ${reason} ${lane} ${seq}`);
        return replaces;
      },
      isTraced: () => false,
      traceDelivery() {},
      traceOutcome() {},
      deleteQueue: () => void told.push("delete"),
      forget: () => void told.push("forget"),
      get blocked() {
        return isBlocked();
      },
      forward: (_queue, _message, seq) => {
        told.push(`forward ${seq}`);
        return replaces;
      },
    };
    this.queue = delays ? new DelayQueue(definition, host) : new Queue(definition, host);
  }

  /** The end of a cycle. */
  work(): void {
    if (!this.queue.awake) return;
    this.queue.awake = false;
    this.queue.dispatch();
  }

  /** What was told since the last call. */
  news(): string[] {
    return this.told.splice(0);
  }

  /** Messages arrive; their bodies have `size` bytes. */
  push(count = 1, { lane = 0, size = 1, ttl = Infinity } = {}): void {
    for (let i = 0; i < count; i++) {
      const expiry = this.queue.expiryOf(ttl, 0);
      this.queue.lanes[lane]!.push(3, 10 * this.#sent++, size, expiry);
      this.queue.arrived(expiry, lane);
    }
  }

  /** A message arrives that is due after `delay` milliseconds. */
  delay(delay: number): void {
    const due = this.queue.expiryOf(Infinity, delay);
    this.queue.lanes[0]!.push(3, 10 * this.#sent++, 1, due);
    this.queue.arrived(due, 0);
  }

  /** Time passes. */
  advance(ms: number): void {
    this.clock.advance(ms);
    this.cycle.now = this.clock.now();
  }

  /** A consumer that takes `room` messages. */
  consume(room = Infinity): QueueConsumer & { got: string[] } {
    const got: string[] = [];
    const channel: ConsumingChannel = {
      writable: true,
      get hasRoom() {
        return got.length < room;
      },
      client: undefined,
      deliver: (_consumer, { takenLane, takenSeq }) => void got.push(`${takenLane} ${takenSeq}`),
      onCancelled: () => void this.told.push("cancelled"),
    };
    const options = { tag: "t", noAck: false, exclusive: false, priority: 0, prefetch: 0, arguments: {} };
    const consumer = Object.assign(new QueueConsumer(this.queue, channel, options), { got });
    this.queue.addConsumer(consumer);
    this.work();
    return consumer;
  }
}
