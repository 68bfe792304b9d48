import type { TracedClient } from "../../core/firehose.ts";
import { HEADER } from "../../../crossing/mqtt/headers.ts";
import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import type { FieldTable } from "../../../amqp/types/field_value.ts";
import { addressOf, encodeMessage, type OwnMessage, propertiesOf } from "../../core/message.ts";
import { type ConsumingChannel, QueueConsumer } from "../../core/queue/consumer.ts";
import type { Queue } from "../../core/queue/queue.ts";
import { parseShared } from "../../../mqtt/topic.ts";
import { sharedQueue } from "../names.ts";
import type { SharingSession } from "./contract.ts";
import type { Subscription } from "./subscriptions.ts";

/** The number of messages of a shared subscription that may wait in the queue of a member. */
const MAX_WAITING = 64;

/** A session's part in a shared subscription: it takes its turn as a consumer of the common queue. */
class Membership implements ConsumingChannel {
  readonly #session: SharingSession;
  readonly queue: Queue;
  subscription: Subscription;
  #consumer: QueueConsumer | undefined;

  constructor(session: SharingSession, queue: Queue, subscription: Subscription) {
    this.#session = session;
    this.queue = queue;
    this.subscription = subscription;
  }

  get client(): TracedClient | undefined {
    return this.#session.connection;
  }

  get writable(): boolean {
    return this.#session.writable && this.#session.waiting < MAX_WAITING;
  }

  get hasRoom(): boolean {
    return this.writable;
  }

  attach(): void {
    this.#consumer = new QueueConsumer(this.queue, this, {
      tag: this.subscription.filter,
      noAck: true,
      exclusive: false,
      priority: 0,
      prefetch: 0,
      arguments: {},
    });
    this.queue.addConsumer(this.#consumer);
  }

  detach(): void {
    if (this.#consumer !== undefined) this.queue.removeConsumer(this.#consumer);
    this.#consumer = undefined;
  }

  /** Sends a message of QoS 0, and moves another one into the queue of the session [MQTT-4.8.2-4]. */
  deliver(_consumer: QueueConsumer, queue: Queue): void {
    const { takenSeq: seq } = queue;
    const message = queue.messageAt(0, seq);
    if (message === undefined) return queue.settle(0, seq);
    const { outgoing } = this.#session.space;
    outgoing.read(message);
    const { filter, qos } = this.subscription;
    const expiry = queue.lanes[0]!.expiryAt(seq);
    const ttl = expiry === 0 ? Infinity : Math.max(1, expiry - this.#session.space.core.cycle.now);
    if (Math.min(outgoing.qos, qos) === 0) {
      const retain = this.subscription.retainAsPublished && outgoing.retained;
      this.#session.deliverNow(outgoing, this.subscription, retain, ttl);
    } else {
      this.#session.enqueue(readdress(message, { [HEADER.filter]: filter }, ttl), { queue, seq });
    }
    queue.settle(0, seq);
  }

  onCancelled(): void {
    this.#consumer = undefined;
  }
}

/** The shared subscriptions of a session (MQTT 5.0, 4.8.2). */
export class SharedSubscriptions {
  readonly #session: SharingSession;
  readonly #members = new Map<string, Membership>();

  constructor(session: SharingSession) {
    this.#session = session;
  }

  *[Symbol.iterator](): IterableIterator<Subscription> {
    for (const { subscription } of this.#members.values()) yield subscription;
  }

  /** Whether the queue of one of them was deleted. */
  get isIncomplete(): boolean {
    return [...this.#members.values()].some(({ queue }) => queue.deleted);
  }

  get(filter: string): Subscription | undefined {
    return this.#members.get(filter)?.subscription;
  }

  /** Adds or replaces a subscription. @throws {AmqpError} its queue cannot be declared or bound */
  join(subscription: Subscription): void {
    const { filter } = subscription;
    const known = this.#members.get(filter);
    if (known !== undefined && !known.queue.deleted) {
      known.subscription = subscription;
      return;
    }
    // An administrator has deleted the queue.
    if (known !== undefined) this.#leave(known);
    const { group, filter: own } = parseShared(filter)!;
    const queue = this.#session.space.shareQueue(sharedQueue(group, own), own);
    const member = new Membership(this.#session, queue, subscription);
    this.#members.set(filter, member);
    if (this.#session.connection !== undefined) member.attach();
  }

  /** Removes a subscription. @returns whether it existed */
  leave(filter: string): boolean {
    const member = this.#members.get(filter);
    if (member === undefined) return false;
    this.#leave(member);
    this.#returnMessages(new Map([[filter, member.subscription]]));
    return true;
  }

  leaveAll(): void {
    const left = new Map([...this].map((subscription) => [subscription.filter, subscription]));
    for (const member of [...this.#members.values()]) this.#leave(member);
    if (left.size > 0) this.#returnMessages(left);
  }

  attach(): void {
    for (const member of this.#members.values()) member.attach();
  }

  detach(): void {
    for (const member of this.#members.values()) member.detach();
  }

  #leave(member: Membership): void {
    member.detach();
    this.#members.delete(member.subscription.filter);
    this.#session.space.unshareQueue(member.queue);
  }

  /**
   * Gives the waiting messages of subscriptions that were left to the other members (4.8.2): all but those of QoS 2 that
   * were sent before [MQTT-4.8.2-5].
   */
  #returnMessages(left: ReadonlyMap<string, Subscription>): void {
    const { space, queue } = this.#session;
    if (queue === undefined) return;
    const { outgoing } = space;
    const lane = queue.lanes[0]!;
    for (let seq = lane.nextReady(0); seq >= 0; seq = lane.nextReady(seq + 1)) {
      const message = queue.messageAt(0, seq);
      if (message === undefined) continue;
      outgoing.read(message);
      const filter = outgoing.headers[HEADER.filter];
      const subscription = typeof filter === "string" ? left.get(filter) : undefined;
      if (subscription === undefined) continue;
      if (Math.min(outgoing.qos, subscription.qos) === 2 && lane.isRedelivered(seq)) continue;
      const { group, filter: own } = parseShared(subscription.filter)!;
      const shared = space.vhost.queues.get(sharedQueue(group, own));
      if (shared === undefined) continue;
      const expiry = lane.expiryAt(seq);
      const ttl = expiry === 0 ? Infinity : Math.max(1, expiry - space.core.cycle.now);
      space.core.intake.put(shared, readdress(message, { [HEADER.filter]: undefined }, ttl), { queue, seq });
      queue.settle(0, seq);
    }
  }

  /** The session can take messages again. */
  wake(): void {
    for (const { queue } of this.#members.values()) this.#session.space.core.cycle.wake(queue);
  }
}

/** Copies a message with other headers; one that is undefined is removed. @param ttl in milliseconds */
function readdress(
  message: EncodedMessage,
  changes: Readonly<Record<string, string | undefined>>,
  ttl: number,
): OwnMessage {
  const properties = propertiesOf(message);
  const headers: FieldTable = { ...properties.headers };
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) delete headers[name];
    else headers[name] = value;
  }
  const expiration = ttl === Infinity ? {} : { expiration: String(ttl) };
  const body = message.body.subarray(message.bodyStart, message.bodyEnd);
  return encodeMessage(addressOf(message), { ...properties, headers, ...expiration }, body);
}
