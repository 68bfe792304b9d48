import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import { MAX_TIMER } from "../../../transport/waiting.ts";
import type { Cycle, WakeableQueue } from "../cycle.ts";
import type { Journal } from "../journal/journal.ts";
import type { QueueDefinition } from "../topology/definition_change.ts";
import { ConsumerList, type QueueConsumer } from "./consumer.ts";
import { Lane } from "./lane.ts";
import { parseSettings, type QueueSettings } from "./settings.ts";

/** Why a message was dead-lettered, as `x-death` has it. */
export type DeathReason = "expired" | "rejected" | "maxlen" | "delivery_limit";

/** What a queue needs of the cycle of work. */
export type QueueCycle = Pick<Cycle, "now" | "wake" | "begin" | "end">;

/** What a queue needs of the broker. */
export interface QueueHost {
  readonly journal: Pick<Journal, "read" | "settle" | "delivered">;
  readonly cycle: QueueCycle;
  /** Routes a message that died to the queue's dead-letter exchange, if it has one. `message` is valid during the call. */
  deadLetter(queue: Queue, message: EncodedMessage, reason: DeathReason, lane: number, seq: number): void;
  /** Deletes the queue: it expired, or its last consumer went. */
  deleteQueue(queue: Queue): void;
  /** The queue is closed, and its messages are settled: nothing will be asked of it. */
  forget(queue: Queue): void;
}

/**
 * One queue: its messages in lanes, one for each priority, and its consumers. Messages lie in the journal; a lane
 * knows where.
 */
export class Queue implements WakeableQueue {
  readonly definition: QueueDefinition;
  readonly settings: QueueSettings;
  readonly consumers: ConsumerList;
  /** One lane for each priority, the lowest first. */
  readonly lanes: readonly Lane[];
  /** What `take` took. */
  takenLane = 0;
  takenSeq = 0;
  /** Whether it is to be dispatched at the end of the turn; kept by the host. */
  awake = false;
  deleted = false;
  /** Whether it ever had a consumer: an auto-delete queue goes with its last one. */
  #wasConsumed = false;
  /** How often each message was given back, for a quorum queue. */
  readonly #returns = new Map<number, number>();
  readonly #host: QueueHost;
  readonly #cycle: QueueCycle;
  /** The last position of each lane that was delivered, and what the journal was told of it. */
  readonly #furthest: Float64Array;
  readonly #noted: Float64Array;
  /** Whether a message may have an expiry. */
  #expiring = false;
  #expiryTimer: ReturnType<typeof setTimeout> | undefined;
  #expiryAt = Infinity;
  #unusedTimer: ReturnType<typeof setTimeout> | undefined;
  #usedAt = 0;

  /** @throws {AmqpError} 406: an argument is not what it must be */
  constructor(definition: QueueDefinition, host: QueueHost) {
    this.definition = definition;
    this.settings = parseSettings(definition.name, definition.vhost, definition.arguments);
    this.consumers = new ConsumerList(this.settings.singleActiveConsumer);
    this.lanes = Array.from({ length: this.settings.maxPriority + 1 }, () => new Lane());
    this.#furthest = new Float64Array(this.lanes.length).fill(-1);
    this.#noted = new Float64Array(this.lanes.length).fill(-1);
    this.#host = host;
    this.#cycle = host.cycle;
    this.touch();
  }

  get name(): string {
    return this.definition.name;
  }

  /** Messages that wait to be delivered. */
  get ready(): number {
    let count = 0;
    for (const lane of this.lanes) count += lane.ready;
    return count;
  }

  /** Messages that were delivered and not acknowledged. */
  get unacked(): number {
    let count = 0;
    for (const lane of this.lanes) count += lane.unacked;
    return count;
  }

  /** Bytes of the bodies that wait. */
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

  /** The lane for a message of this priority. */
  laneOf(priority: number): number {
    return Math.min(priority, this.lanes.length - 1);
  }

  /**
   * When a message that comes now expires; 0 for never.
   *
   * @param _delay how long it is to wait, where messages do that
   */
  expiryOf(ttl: number, _delay: number): number {
    const time = Math.min(ttl, this.settings.messageTtl);
    return time === Infinity ? 0 : this.#cycle.now + time;
  }

  /**
   * Whether a message with a body of `size` bytes has room, or makes room for itself: false when the queue refuses
   * what it has no room for.
   */
  hasRoomFor(size: number): boolean {
    const { overflow } = this.settings;
    if (overflow === "drop-head" || !this.#isOver(1, size)) return true;
    // Consumers that wait must have their share before the queue counts as full.
    this.dispatch();
    return !this.#isOver(1, size);
  }

  /** A message was pushed onto one of the lanes. */
  arrived(expiry: number): void {
    if (expiry > 0) this.#expiring = true;
    if (this.#isOver(0, 0)) this.#makeRoom();
    if (!this.awake) this.#cycle.wake(this);
  }

  /** Expiries come with the messages of a journal, too. */
  recovered(): void {
    this.#expiring = true;
    if (this.ready > 0) this.#cycle.wake(this);
  }

  /** Takes the first message, which is then unacknowledged: `takenLane`, `takenSeq`. */
  take(): boolean {
    const { now } = this.#cycle;
    for (let at = this.lanes.length - 1; at >= 0; at--) {
      const lane = this.lanes[at]!;
      for (;;) {
        const seq = lane.take();
        if (seq < 0) break;
        if (this.#expiring && this.#isExpired(lane, seq, now - 1)) {
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

  /** Delivers what waits to those consumers that have room. */
  dispatch(): void {
    if (this.deleted) return;
    let taken = false;
    this.consumers.refresh();
    while (this.consumers.size > 0 && this.ready > 0) {
      const consumer = this.consumers.next();
      if (consumer === undefined || !this.take()) break;
      taken = true;
      consumer.channel.deliver(consumer, this);
    }
    if (taken) this.noteDelivered();
    this.expire();
  }

  /** Lets the journal know how far messages were delivered, so that after a crash they are known to be redelivered. */
  noteDelivered(): void {
    if (!this.definition.durable) return;
    for (let at = 0; at < this.lanes.length; at++) {
      const seq = this.#furthest[at]!;
      if (seq === this.#noted[at]) continue;
      this.#noted[at] = seq;
      this.#host.journal.delivered(this.definition.id, at, seq);
    }
  }

  /** The message that lies at a position; valid until the journal's next call. Undefined when it is damaged. */
  messageAt(lane: number, seq: number): EncodedMessage | undefined {
    const where = this.lanes[lane]!;
    return this.#host.journal.read(where.segmentAt(seq), where.offsetAt(seq), this.definition.id, seq);
  }

  /** How often a message was given back; 0 but for quorum queues. */
  returnsOf(seq: number): number {
    return this.#returns.get(seq) ?? 0;
  }

  /** The message is done with: acknowledged, or delivered to somebody who does not acknowledge. */
  settle(lane: number, seq: number): void {
    if (this.deleted) return;
    const where = this.lanes[lane]!;
    this.#host.journal.settle(where.segmentAt(seq), this.definition.id, lane, seq, where.sizeAt(seq));
    where.remove(seq);
    if (this.#returns.size > 0) this.#returns.delete(seq);
  }

  /** The message goes back to its place, to be delivered again. */
  giveBack(lane: number, seq: number): void {
    if (this.deleted) return;
    if (this.settings.type === "quorum") {
      const returns = this.returnsOf(seq) + 1;
      this.#returns.set(seq, returns);
      if (returns > this.settings.deliveryLimit) return this.#drop(lane, seq, "delivery_limit");
    }
    this.lanes[lane]!.giveBack(seq);
    if (this.settings.overflow === "drop-head" && this.#isOver(0, 0)) this.#dropHead();
    this.#cycle.wake(this);
  }

  /** The consumer does not want the message. */
  reject(lane: number, seq: number): void {
    if (!this.deleted) this.#drop(lane, seq, "rejected");
  }

  /** Drops what has expired at the head of each lane, and looks again when the next one will have. */
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
    clearTimeout(this.#expiryTimer);
    this.#expiryAt = next;
    if (next === Infinity) return;
    this.#expiryTimer = setTimeout(() => {
      this.#expiryAt = Infinity;
      this.#cycle.begin();
      this.#cycle.wake(this);
      this.#cycle.end();
    }, Math.min(Math.max(1, next - this.#cycle.now), MAX_TIMER));
  }

  addConsumer(consumer: QueueConsumer): void {
    this.consumers.add(consumer);
    this.#wasConsumed = true;
    this.touch();
    this.#cycle.wake(this);
  }

  /** Ends a consumer; an auto-delete queue goes with its last one. */
  removeConsumer(consumer: QueueConsumer): void {
    this.consumers.remove(consumer);
    if (this.deleted) return;
    this.touch();
    if (this.consumers.size > 0) this.#cycle.wake(this);
    else if (this.definition.autoDelete && this.#wasConsumed) this.#host.deleteQueue(this);
  }

  /** The queue was used: `x-expires` counts from now. */
  touch(): void {
    const { expires } = this.settings;
    if (expires === Infinity) return;
    this.#usedAt = Date.now();
    this.#unusedTimer ??= setTimeout(() => this.#onUnused(), Math.min(expires, MAX_TIMER));
  }

  /** Removes all messages that wait, and returns how many there were. */
  purge(): number {
    const count = this.ready;
    for (let at = 0; at < this.lanes.length; at++) {
      for (let seq = 0; (seq = this.lanes[at]!.nextReady(seq)) >= 0; seq++) this.settle(at, seq);
    }
    return count;
  }

  /** The queue was deleted: its messages go, and its consumers are told. */
  close(): void {
    for (let at = 0; at < this.lanes.length; at++) {
      // Those that nobody acknowledged yet go, too.
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

  /** Ends the timers, for the end of the broker. */
  stop(): void {
    clearTimeout(this.#expiryTimer);
    clearTimeout(this.#unusedTimer);
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

  /** Drops what would be delivered next until the rest has room, as RabbitMQ does (priority.html, maxlength.html). */
  #dropHead(): void {
    for (let at = this.lanes.length - 1; at >= 0 && this.#isOver(0, 0);) {
      const seq = this.lanes[at]!.take();
      if (seq < 0) at--;
      else this.#drop(at, seq, "maxlen");
    }
  }

  /** Removes a message that was taken; it may have a second life elsewhere. */
  #drop(lane: number, seq: number, reason: DeathReason): void {
    const message = this.settings.deadLetterExchange === undefined ? undefined : this.messageAt(lane, seq);
    if (message !== undefined) this.#host.deadLetter(this, message, reason, lane, seq);
    this.settle(lane, seq);
  }

  #isExpired(lane: Lane, seq: number, now: number): boolean {
    const expiry = lane.expiryAt(seq);
    return expiry > 0 && expiry <= now;
  }

  #onUnused(): void {
    this.#unusedTimer = undefined;
    if (this.consumers.size > 0 || this.deleted) return;
    const left = this.#usedAt + this.settings.expires - Date.now();
    if (left <= 0) {
      this.#cycle.begin();
      this.#host.deleteQueue(this);
      this.#cycle.end();
    } else this.#unusedTimer = setTimeout(() => this.#onUnused(), Math.min(left, MAX_TIMER));
  }
}
