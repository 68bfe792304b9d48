import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import { MAX_TIMER } from "../../../transport/waiting.ts";
import type { Timer } from "../clock.ts";
import type { Cycle, WakeableQueue } from "../cycle.ts";
import type { Journal } from "../journal/journal.ts";
import type { QueueDefinition } from "../topology/definition_change.ts";
import type { AppliedPolicies } from "../policies/policy_set.ts";
import { type Arrival, Arrivals } from "./arrivals.ts";
import { ConsumerList, type QueueConsumer } from "./consumer.ts";
import { FilteredDispatch } from "./filtered_dispatch.ts";
import { isTrace, type TracedClient, type TracedOutcome } from "../firehose.ts";
import { Lane } from "./lane.ts";
import { QueueStats } from "./queue_stats.ts";
import { parseSettings, type QueueSettings } from "./settings.ts";

/** Why a message was dead-lettered, as in `x-death`. */
export type DeathReason = "expired" | "rejected" | "maxlen" | "delivery_limit";

/** The counts of messages that were dropped, by reason. */
const DROP_COUNTS = {
  expired: "expired",
  rejected: "rejected",
  maxlen: "overflowed",
  delivery_limit: "overDelivered",
} as const satisfies Record<DeathReason, keyof QueueStats>;

/** The part of the work cycle that a queue needs. */
export type QueueCycle = Pick<Cycle, "now" | "clock" | "wake" | "begin" | "end">;

/** The part of the broker that a queue needs. */
export interface QueueHost {
  readonly journal: Pick<Journal, "read" | "settle" | "delivered" | "deliveredOne" | "settledOne">;
  readonly cycle: QueueCycle;
  /**
   * Routes the message `seq` of a lane, which has died, to the queue's dead-letter exchange, if it has one. `message` is
   * valid during the call.
   *
   * @returns whether a message that survives a restart replaces it
   */
  deadLetter(queue: Queue, message: EncodedMessage, reason: DeathReason, lane: number, seq: number): boolean;
  /** Whether the messages of the queue's virtual host are traced. */
  isTraced(queue: Queue): boolean;
  /** Copies a message that is about to be delivered to the trace exchange. `message` is valid during the call. */
  traceDelivery(
    queue: Queue,
    message: EncodedMessage,
    lane: number,
    seq: number,
    client?: TracedClient,
  ): void;
  /** Reports how a delivery ended to the trace exchange. */
  traceOutcome(queue: Queue, outcome: TracedOutcome, lane: number, seq: number, client?: TracedClient): void;
  /** Deletes the queue: it has expired, or its last consumer is gone. */
  deleteQueue(queue: Queue): void;
  /** Called when the queue is closed and its messages are settled: it is not used any more. */
  forget(queue: Queue): void;
}

/** Takes the messages of a queue that stores none. */
export interface MessageReceiver {
  /**
   * Takes a message at the moment when it is published; it is valid during the call. It must not throw.
   *
   * @param number is the same for all receivers of the message, and for no other message
   */
  receive(message: EncodedMessage, number: number): void;
}

/**
 * A queue: its messages in lanes, one for each priority, and its consumers. The messages are in the journal; a lane has
 * their locations.
 */
export class Queue implements WakeableQueue {
  readonly definition: QueueDefinition;
  /** From the arguments and the policies. */
  settings: QueueSettings;
  /** The policies that apply; undefined if there are none. */
  policies: AppliedPolicies | undefined;
  readonly consumers: ConsumerList;
  readonly stats: QueueStats = new QueueStats();
  /** Takes the messages of a direct queue; undefined: they are dropped. */
  receiver: MessageReceiver | undefined;
  /** One lane for each priority, the lowest first. */
  readonly lanes: readonly Lane[];
  /** The message that `take` returned. */
  takenLane = 0;
  takenSeq = 0;
  /** Whether the queue is dispatched at the end of the cycle; set by the host. */
  awake = false;
  deleted = false;
  /** Whether it has ever had a consumer: an auto-delete queue is deleted with its last one. */
  #wasConsumed = false;
  /** How often each message was requeued, for a quorum queue. */
  readonly #returns = new Map<number, number>();
  readonly #host: QueueHost;
  readonly #cycle: QueueCycle;
  /** When the messages of each lane arrived. */
  readonly #arrivals: readonly Arrivals[];
  /** The last delivered sequence number of each lane, and the last one that the journal has recorded. */
  readonly #furthest: Float64Array;
  readonly #noted: Float64Array;
  /** By lane: the messages that were delivered before their turn, and are not settled. */
  readonly #ahead = new Map<number, Set<number>>();
  /** Whether a message may have an expiry. */
  #expiring = false;
  #expiryTimer: Timer;
  #expiryAt = Infinity;
  #unusedTimer: Timer;
  readonly #filtered: FilteredDispatch<QueueConsumer> = new FilteredDispatch(this);
  #usedAt = 0;

  /** @throws {AmqpError} 406: an argument is invalid */
  constructor(definition: QueueDefinition, host: QueueHost) {
    this.definition = definition;
    this.settings = parseSettings(definition.name, definition.vhost, definition.arguments);
    this.consumers = new ConsumerList(this.settings.singleActiveConsumer);
    this.lanes = Array.from({ length: this.settings.maxPriority + 1 }, () => new Lane());
    this.#furthest = new Float64Array(this.lanes.length).fill(-1);
    this.#noted = new Float64Array(this.lanes.length).fill(-1);
    this.#host = host;
    this.#cycle = host.cycle;
    this.stats.activeAt = this.#cycle.now;
    this.#arrivals = this.lanes.map(() => new Arrivals(host.cycle.now));
    this.touch();
  }

  get name(): string {
    return this.definition.name;
  }

  /** The number of messages that wait for delivery. */
  get ready(): number {
    let count = 0;
    for (const lane of this.lanes) count += lane.ready;
    return count;
  }

  /** The number of delivered and unacknowledged messages. */
  get unacked(): number {
    let count = 0;
    for (const lane of this.lanes) count += lane.unacked;
    return count;
  }

  /** The size of the ready messages' bodies, in bytes. */
  get readyBytes(): number {
    let bytes = 0;
    for (const lane of this.lanes) bytes += lane.readyBytes;
    return bytes;
  }

  get unackedBytes(): number {
    let bytes = 0;
    for (const lane of this.lanes) bytes += lane.unackedBytes;
    return bytes;
  }

  /** When the oldest ready message arrived; undefined without one. */
  get oldest(): Arrival | undefined {
    let oldest: Arrival | undefined;
    for (const [lane, { firstReady }] of this.lanes.entries()) {
      const seq = firstReady();
      if (seq < 0) continue;
      const arrival = this.#arrivals[lane]!.of(seq);
      if (oldest === undefined || arrival.time < oldest.time || !arrival.isExact) oldest = arrival;
    }
    return oldest;
  }

  /** The lane for a message of this priority. */
  laneOf(priority: number): number {
    return Math.min(priority, this.lanes.length - 1);
  }

  /**
   * Returns when a message that arrives now expires; 0 for never.
   *
   * @param _delay the delay of the message, for queues with delays
   */
  expiryOf(ttl: number, _delay: number): number {
    const time = Math.min(ttl, this.settings.messageTtl);
    return time === Infinity ? 0 : this.#cycle.now + time;
  }

  /**
   * Whether a message with a body of `size` bytes has room, or can make room for itself; false when the queue is full
   * and rejects messages.
   */
  hasRoomFor(size: number): boolean {
    const { overflow } = this.settings;
    if (overflow === "drop-head" || !this.#isOver(1, size)) return true;
    // Waiting consumers must get their messages before the queue counts as full.
    this.dispatch();
    return !this.#isOver(1, size);
  }

  /** Called after a message was pushed onto a lane. */
  arrived(expiry: number, lane: number): void {
    this.stats.published++;
    const where = this.lanes[lane]!;
    this.#arrivals[lane]!.note(where.nextSeq - 1, this.#cycle.now, where.firstReady);
    if (expiry > 0) {
      this.#expiring = true;
      // A time to live of 0: a consumer that waits now gets the message, or nobody does.
      if (expiry <= this.#cycle.now) this.#dispatch(this.#cycle.now - 1);
    }
    if (this.#isOver(0, 0)) this.#makeRoom();
    if (!this.awake) this.#cycle.wake(this);
  }

  /**
   * Delivers to waiting consumers what the end of the cycle would deliver. A request that depends on the ready messages
   * calls this first: it must not overtake the consumers.
   */
  catchUp(): void {
    if (this.awake && this.consumers.size > 0) this.dispatch();
  }

  /** Also called for expiries of messages from the journal. */
  recovered(): void {
    this.#expiring = true;
    if (this.ready > 0) this.#cycle.wake(this);
  }

  /**
   * Takes the first message, which is then unacknowledged: `takenLane`, `takenSeq`.
   *
   * @param now messages that expire at this time or before are dropped
   */
  take(now: number = this.#cycle.now): boolean {
    for (let at = this.lanes.length - 1; at >= 0; at--) {
      const lane = this.lanes[at]!;
      for (;;) {
        const seq = lane.take();
        if (seq < 0) break;
        if (this.#expiring && this.#isExpired(lane, seq, now)) {
          this.#drop(at, seq, "expired");
          continue;
        }
        this.takenLane = at;
        this.takenSeq = seq;
        if (seq > this.#furthest[at]!) this.#furthest[at] = seq;
        return true;
      }
    }
    return false;
  }

  /** Delivers ready messages to the consumers that have room. */
  dispatch(): void {
    this.#dispatch(this.#cycle.now);
  }

  /** @param now see `take` */
  #dispatch(now: number): void {
    if (this.deleted) return;
    this.stats.activeAt = this.#cycle.now;
    const isTraced = this.#host.isTraced(this);
    let taken = this.consumers.filtered.length > 0 && this.#filtered.run(now);
    this.consumers.refresh();
    while (this.consumers.size > 0 && this.ready > 0) {
      const consumer = this.consumers.next();
      if (consumer === undefined || !this.take(now)) break;
      taken = true;
      if (isTraced) this.traceTaken(consumer.channel.client);
      consumer.channel.deliver(consumer, this);
    }
    if (taken) this.noteDelivered();
    this.expire();
  }

  /** Takes a message that is ready, and delivers it before its turn. */
  deliverTo(consumer: QueueConsumer, lane: number, seq: number): void {
    this.lanes[lane]!.takeAt(seq);
    this.takenLane = lane;
    this.takenSeq = seq;
    if (seq > this.#furthest[lane]! && this.definition.durable) this.#noteAhead(lane, seq);
    this.traceTaken(consumer.channel.client);
    consumer.channel.deliver(consumer, this);
  }

  /** Ends a consumer that wants no further messages, and informs its client. */
  end(consumer: QueueConsumer): void {
    this.removeConsumer(consumer);
    consumer.channel.onCancelled(consumer);
  }

  /** Dispatches in a cycle of its own. */
  dispatchSoon(): void {
    this.#cycle.begin();
    try {
      this.#cycle.wake(this);
    } finally {
      this.#cycle.end();
    }
  }

  /** Copies the message that `take` returned to the trace exchange, if the virtual host is traced. */
  traceTaken(client: TracedClient | undefined): void {
    if (!this.#host.isTraced(this)) return;
    const { takenLane: lane, takenSeq: seq } = this;
    const message = this.messageAt(lane, seq);
    if (message === undefined || isTrace(message)) return;
    this.#host.traceDelivery(this, message, lane, seq, client);
  }

  /** Reports to the trace exchange how a delivery ended, before it is settled. Call it if the virtual host is traced. */
  traceOutcome(outcome: TracedOutcome, lane: number, seq: number, client: TracedClient | undefined): void {
    this.#host.traceOutcome(this, outcome, lane, seq, client);
  }

  /** Records in the journal which messages were delivered, so that they are marked as redelivered after a crash. */
  noteDelivered(): void {
    if (!this.definition.durable) return;
    for (let at = 0; at < this.lanes.length; at++) {
      const seq = this.#furthest[at]!;
      if (seq === this.#noted[at]) continue;
      this.#noted[at] = seq;
      this.#host.journal.delivered(this.definition.id, at, seq);
    }
  }

  /** Marks a message as delivered before, also after a restart. */
  markRedelivered(lane: number, seq: number): void {
    this.lanes[lane]!.markRedelivered(seq);
    if (!this.definition.durable) return;
    if (seq === this.#furthest[lane]! + 1) {
      this.#furthest[lane] = seq;
      return this.noteDelivered();
    }
    this.#noteAhead(lane, seq);
  }

  /** Returns a message by its sequence number, valid until the journal's next call; undefined when it is damaged. */
  messageAt(lane: number, seq: number): EncodedMessage | undefined {
    const where = this.lanes[lane]!;
    return this.#host.journal.read(where.segmentAt(seq), where.offsetAt(seq), this.definition.id, seq);
  }

  /** How often a message was requeued; always 0 except for quorum queues. */
  returnsOf(seq: number): number {
    return this.#returns.get(seq) ?? 0;
  }

  /**
   * Settles a message: it is acknowledged, or was delivered without acknowledgement.
   *
   * @param replaced see `Journal.settle`
   */
  settle(lane: number, seq: number, replaced = false): void {
    if (this.deleted) return;
    const where = this.lanes[lane]!;
    this.#host.journal.settle(
      where.segmentAt(seq),
      this.definition.id,
      lane,
      seq,
      where.sizeAt(seq),
      replaced,
    );
    where.remove(seq);
    if (this.#ahead.size > 0 && this.#ahead.get(lane)?.delete(seq)) {
      this.#host.journal.settledOne(this.definition.id, lane, seq);
    }
    if (this.#returns.size > 0) this.#returns.delete(seq);
  }

  /** Requeues a message at its place, to be delivered again. */
  giveBack(lane: number, seq: number): void {
    if (this.deleted) return;
    if (this.settings.type === "quorum") {
      const returns = this.returnsOf(seq) + 1;
      this.#returns.set(seq, returns);
      if (returns > this.settings.deliveryLimit) return this.#drop(lane, seq, "delivery_limit");
    }
    this.lanes[lane]!.giveBack(seq);
    for (const { matches } of this.consumers.filtered) matches!.returned(lane, seq);
    if (this.settings.overflow === "drop-head") this.#dropHead();
    this.#cycle.wake(this);
  }

  /** Rejects a message. */
  reject(lane: number, seq: number): void {
    if (!this.deleted) this.#drop(lane, seq, "rejected");
  }

  /** Drops expired messages at the head of each lane, and sets a timer for the next expiry. */
  expire(): void {
    if (!this.#expiring) return;
    let next = Infinity;
    let left = 0;
    for (let at = 0; at < this.lanes.length; at++) {
      const lane = this.lanes[at]!;
      for (;;) {
        const seq = lane.first();
        if (seq < 0) break;
        if (!this.#isExpired(lane, seq, this.#cycle.now)) {
          const expiry = lane.expiryAt(seq);
          if (expiry > 0) next = Math.min(next, expiry);
          break;
        }
        lane.take();
        this.#drop(at, seq, "expired");
      }
      left += lane.ready + lane.unacked;
    }
    if (left === 0) this.#expiring = false;
    if (next === this.#expiryAt) return;
    this.#cycle.clock.clearTimeout(this.#expiryTimer);
    this.#expiryAt = next;
    if (next === Infinity) return;
    this.#expiryTimer = this.#cycle.clock.setTimeout(() => {
      this.#expiryAt = Infinity;
      this.dispatchSoon();
    }, Math.min(Math.max(1, next - this.#cycle.now), MAX_TIMER));
  }

  addConsumer(consumer: QueueConsumer): void {
    this.consumers.add(consumer);
    this.#wasConsumed = true;
    this.touch();
    this.#cycle.wake(this);
  }

  /** Ends a consumer; an auto-delete queue is deleted with its last one. */
  removeConsumer(consumer: QueueConsumer): void {
    this.consumers.remove(consumer);
    if (this.deleted) return;
    this.touch();
    if (this.consumers.size > 0) this.#cycle.wake(this);
    else if (this.definition.autoDelete && this.#wasConsumed) this.#host.deleteQueue(this);
  }

  /** Marks the queue as used: `x-expires` counts from now. */
  touch(): void {
    const { expires } = this.settings;
    if (expires === Infinity) return;
    this.#usedAt = this.#cycle.clock.now();
    this.#unusedTimer ??= this.#cycle.clock.setTimeout(() => this.#onUnused(), Math.min(expires, MAX_TIMER));
  }

  /** Changes the policies, with effect on what is in the queue. */
  setPolicies(policies: AppliedPolicies | undefined): void {
    if (policies === this.policies) return;
    this.policies = policies;
    const { name, vhost, arguments: args } = this.definition;
    const { expires } = this.settings;
    this.settings = parseSettings(name, vhost, args, policies?.definition);
    if (this.settings.expires !== expires) {
      this.#cycle.clock.clearTimeout(this.#unusedTimer);
      this.#unusedTimer = undefined;
      this.touch();
    }
    if (this.settings.overflow === "drop-head" && this.#isOver(0, 0)) this.#makeRoom();
  }

  /** Removes all ready messages, and returns their number. */
  purge(): number {
    this.catchUp();
    const count = this.ready;
    for (let at = 0; at < this.lanes.length; at++) {
      for (let seq = 0; (seq = this.lanes[at]!.nextReady(seq)) >= 0; seq++) this.settle(at, seq);
    }
    return count;
  }

  /** Closes a deleted queue: its messages are removed, and its consumers are cancelled. */
  close(): void {
    for (let at = 0; at < this.lanes.length; at++) {
      // Unacknowledged messages are removed, too.
      for (let seq = 0; (seq = this.lanes[at]!.nextLive(seq)) >= 0; seq++) this.settle(at, seq);
    }
    this.deleted = true;
    this.stop();
    for (const consumer of [...this.consumers]) {
      this.consumers.remove(consumer);
      consumer.channel.onCancelled(consumer);
    }
    this.#host.forget(this);
  }

  /** Stops the timers at the end of the broker. */
  stop(): void {
    this.#cycle.clock.clearTimeout(this.#expiryTimer);
    this.#filtered.stop();
    this.#cycle.clock.clearTimeout(this.#unusedTimer);
  }

  /** Records in the journal that one message was delivered before its turn. */
  #noteAhead(lane: number, seq: number): void {
    this.#host.journal.deliveredOne(this.definition.id, lane, seq);
    const ahead = this.#ahead.get(lane);
    if (ahead === undefined) this.#ahead.set(lane, new Set([seq]));
    else ahead.add(seq);
  }

  #isOver(messages: number, bytes: number): boolean {
    const { maxLength, maxLengthBytes } = this.settings;
    return maxLength !== Infinity && this.ready + messages > maxLength ||
      maxLengthBytes !== Infinity && this.readyBytes + bytes > maxLengthBytes;
  }

  #makeRoom(): void {
    this.dispatch();
    this.#dropHead();
  }

  /** Drops messages from the head until the rest has room, as in RabbitMQ (priority.html, maxlength.html). */
  #dropHead(): void {
    for (let at = this.lanes.length - 1; at >= 0 && this.#isOver(0, 0);) {
      const seq = this.lanes[at]!.take();
      if (seq < 0) at--;
      else this.#drop(at, seq, "maxlen");
    }
  }

  /** Removes a taken message, which may be dead-lettered. */
  #drop(lane: number, seq: number, reason: DeathReason): void {
    this.stats[DROP_COUNTS[reason]]++;
    const message = this.settings.deadLetterExchange === undefined ? undefined : this.messageAt(lane, seq);
    const replaced = message !== undefined && this.#host.deadLetter(this, message, reason, lane, seq);
    this.settle(lane, seq, replaced);
  }

  #isExpired(lane: Lane, seq: number, now: number): boolean {
    const expiry = lane.expiryAt(seq);
    return expiry > 0 && expiry <= now;
  }

  #onUnused(): void {
    this.#unusedTimer = undefined;
    if (this.consumers.size > 0 || this.receiver !== undefined || this.deleted) return;
    const left = this.#usedAt + this.settings.expires - this.#cycle.clock.now();
    if (left <= 0) {
      this.#cycle.begin();
      try {
        this.#host.deleteQueue(this);
      } finally {
        this.#cycle.end();
      }
    } else {this.#unusedTimer = this.#cycle.clock.setTimeout(() =>
        this.#onUnused(), Math.min(left, MAX_TIMER));}
  }
}
