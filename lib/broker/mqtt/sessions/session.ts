import { HEADER } from "../../../crossing/mqtt/headers.ts";
import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import { PUBREL } from "../../../mqtt/packet_type.ts";
import type { Timer } from "../../core/clock.ts";
import { MAX_TIMER } from "../../../transport/waiting.ts";
import { countDelivery } from "../../core/message_stats.ts";
import { type ConsumingChannel, QueueConsumer } from "../../core/queue/consumer.ts";
import type { MessageReceiver, Queue } from "../../core/queue/queue.ts";
import type { SessionConnection, SessionSpace, SharingSession } from "./contract.ts";
import { bindingKeyOf, EXCHANGE, stateQueue, subscriptionQueue } from "../names.ts";
import type { OutgoingMessage } from "../messages/outgoing.ts";
import { SessionState } from "./session_state.ts";
import { SharedSubscriptions } from "./shared.ts";
import { argumentsOf, combine, type Match, type Subscription, SubscriptionSet } from "./subscriptions.ts";

/** Packet identifiers are derived from sequence numbers, so that they are the same after a restart. */
const ID_SPACE = 65_535;

/** Returns the packet identifier of a message in the queue of a session. */
function packetIdOf(seq: number): number {
  return seq % ID_SPACE + 1;
}

/**
 * A session (MQTT 5.0, 4.1): subscriptions, and messages that are not acknowledged. It may outlive its connection, and if
 * it does, also a restart of the broker: its messages are in a durable queue, its subscriptions are bindings.
 */
export class Session implements ConsumingChannel, MessageReceiver, SharingSession {
  readonly space: SessionSpace;
  readonly clientId: string;
  /** Whether it survives a restart. */
  readonly durable: boolean;
  /** Seconds that it outlives its connection; Infinity for ever. */
  expiry = 0;
  connection: SessionConnection | undefined;
  readonly subscriptions: SubscriptionSet = new SubscriptionSet();
  readonly shared: SharedSubscriptions;
  /** Received packet identifiers of QoS 2 that are not released, each with its place in the state, or -1. */
  readonly inbound: Map<number, number> = new Map();
  consumer: QueueConsumer | undefined;
  /** Messages of QoS 0 that were dropped because the client did not read. */
  dropped = 0;
  ended = false;

  /** Messages of QoS 1 and 2 that are sent and not acknowledged, by packet identifier: sequence number times 4, plus QoS. */
  readonly #inflight = new Map<number, number>();
  /** Packet identifiers of QoS 2 whose PUBREL was sent and is not answered, each with its place in the state, or -1. */
  readonly #released = new Map<number, number>();
  readonly #queues: [Queue | undefined, Queue | undefined] = [undefined, undefined];
  readonly #state: SessionState | undefined;
  #timer: Timer;
  #reported = 0;

  constructor(space: SessionSpace, clientId: string, durable: boolean) {
    this.space = space;
    this.clientId = clientId;
    this.durable = durable;
    this.shared = new SharedSubscriptions(this);
    if (durable) {
      this.#state = new SessionState(space.core, space.declare(stateQueue(clientId), true, this));
      const { queues } = space.vhost;
      for (const qos of [0, 1] as const) this.#queues[qos] = queues.get(subscriptionQueue(clientId, qos));
    }
  }

  /** The state that survives a restart; undefined if there is none. */
  get state(): SessionState | undefined {
    return this.#state?.queue.deleted === false ? this.#state : undefined;
  }

  /** The number of deliveries that are not acknowledged. */
  get unacked(): number {
    return this.#inflight.size + this.#released.size;
  }

  get client(): SessionConnection | undefined {
    return this.connection;
  }

  get writable(): boolean {
    return this.connection?.writable === true;
  }

  /** Whether the client takes another message, and the packet identifier of the next one is free. */
  get hasRoom(): boolean {
    if (!this.writable) return false;
    const id = packetIdOf(this.#queues[1]!.lanes[0]!.first());
    return !this.#inflight.has(id) && !this.#released.has(id);
  }

  get queue(): Queue | undefined {
    return this.#queues[1];
  }

  /** Whether a queue of it was deleted, by an administrator or a policy: it does not get all messages any more. */
  get isIncomplete(): boolean {
    return this.#queues.some((queue) => queue?.deleted) || this.shared.isIncomplete;
  }

  /** Whether it has a queue for messages. */
  get hasQueues(): boolean {
    return this.#queues.some((queue) => queue !== undefined);
  }

  /** The number of messages that wait for the client. */
  get waiting(): number {
    return this.#queues[1]?.ready ?? 0;
  }

  /** Restores the state after a restart. @returns whether it is complete */
  restore(): boolean {
    const meta = this.#state!.restore(this.inbound, this.#released);
    if (meta === undefined) return false;
    this.expiry = meta.expiry ?? Infinity;
    for (const one of meta.shared) {
      try {
        this.shared.join(one);
      } catch (error) {
        // Its queue was deleted, and a limit does not allow another one.
        this.space.core.onFailure(error as Error);
      }
    }
    return true;
  }

  /** Stores the options, if the session survives a restart. */
  save(): void {
    const expiry = this.expiry === Infinity ? null : this.expiry;
    this.#state?.save({ expiry, shared: [...this.shared] });
  }

  /** Begins to serve a client: what is not acknowledged is sent again [MQTT-4.4.0-1]. */
  attach(connection: SessionConnection): void {
    this.space.core.cycle.clock.clearTimeout(this.#timer);
    this.connection = connection;
    for (const id of this.#released.keys()) connection.acknowledge(PUBREL, id, 0, 0);
    for (const queue of this.#queues) if (queue !== undefined) this.#use(queue);
    this.shared.attach();
    this.#touch();
  }

  /** Ends the service of a client; the session ends now or when its time is over. */
  detach(): void {
    this.connection = undefined;
    this.shared.detach();
    const [zero, one] = this.#queues;
    if (zero !== undefined) zero.receiver = undefined;
    if (one !== undefined) {
      if (this.consumer !== undefined) one.removeConsumer(this.consumer);
      this.consumer = undefined;
      // They are sent again, in order and with the same identifiers, to the next connection.
      for (const place of this.#inflight.values()) {
        const seq = Math.floor(place / 4);
        if (place % 4 === 2) one.lanes[0]!.keep(seq); // [MQTT-4.3.3-7]
        one.giveBack(0, seq);
      }
      this.#inflight.clear();
    }
    this.reportDropped();
    if (this.expiry === 0) this.end();
    else {
      this.#touch();
      this.expireLater();
    }
  }

  /** Starts the time after which the session ends without a client. */
  expireLater(): void {
    this.space.core.cycle.clock.clearTimeout(this.#timer);
    if (this.expiry === Infinity) return;
    const end = this.space.core.cycle.clock.now() + this.expiry * 1000;
    const wait = () => {
      this.#timer = this.space.core.cycle.clock.setTimeout(() => {
        if (this.space.core.cycle.clock.now() < end) return wait();
        this.space.core.cycle.begin();
        try {
          this.end();
        } finally {
          this.space.core.cycle.end();
        }
      }, Math.min(Math.max(0, end - this.space.core.cycle.clock.now()), MAX_TIMER));
    };
    wait();
  }

  /** Stops the timer at the end of the broker. */
  stop(): void {
    this.space.core.cycle.clock.clearTimeout(this.#timer);
  }

  /** Ends the session: everything in it is removed. */
  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.space.core.cycle.clock.clearTimeout(this.#timer);
    const { space } = this;
    for (const one of this.subscriptions) space.countNoLocal(one, -1);
    this.shared.leaveAll();
    for (const queue of [...this.#queues, this.#state?.queue]) {
      if (queue !== undefined) space.core.deleteQueue(queue);
    }
    space.forget(this);
    space.wills.publishDelayed(this.clientId);
  }

  /** Adds or replaces a subscription. @throws {AmqpError} its queue cannot be declared or bound */
  subscribe(options: Omit<Subscription, "queue">): void {
    const { space, subscriptions } = this;
    const { filter } = options;
    const known = subscriptions.get(filter);
    const subscription: Subscription = { ...options, queue: options.qos > 0 || known?.queue === 1 ? 1 : 0 };
    const queue = this.#queueFor(subscription.queue);
    const routingKey = bindingKeyOf(filter);
    const bind = { exchange: EXCHANGE, routingKey };
    const args = argumentsOf(subscription);
    space.vhost.bindQueue({ ...bind, queue: queue.name, arguments: args }, this);
    if (known !== undefined) {
      // After the new one, so that no message is lost [MQTT-3.8.4-4].
      const before = { ...bind, queue: this.#queues[known.queue]!.name, arguments: argumentsOf(known) };
      const same = known.queue === subscription.queue &&
        JSON.stringify(before.arguments) === JSON.stringify(args);
      if (!same) space.vhost.unbindQueue(before, this);
      space.countNoLocal(known, -1);
    }
    this.restoreSubscription(subscription);
  }

  /** Adds a subscription whose binding exists. */
  restoreSubscription(subscription: Subscription): void {
    this.subscriptions.set(subscription);
    this.space.countNoLocal(subscription, 1);
  }

  /** Removes a subscription. @returns whether it existed */
  unsubscribe(filter: string): boolean {
    const known = this.subscriptions.get(filter);
    if (known === undefined) return false;
    const queue = this.#queues[known.queue]!;
    const routingKey = bindingKeyOf(filter);
    const binding = { exchange: EXCHANGE, routingKey, queue: queue.name, arguments: argumentsOf(known) };
    this.space.vhost.unbindQueue(binding, this);
    this.subscriptions.delete(filter);
    this.space.countNoLocal(known, -1);
    return true;
  }

  /** Puts a message into the queue, for one subscription. @param origin the message that it replaces */
  enqueue(message: EncodedMessage, origin?: { readonly queue: Queue; readonly seq: number }): void {
    this.space.core.intake.put(this.#queueFor(1), message, origin);
  }

  /** Takes a message of QoS 0 for all subscriptions that match it. */
  receive(message: EncodedMessage, number: number): void {
    const { connection, space } = this;
    if (connection === undefined) return;
    const { fanOut } = space;
    const outgoing = fanOut.read(message, number);
    const match = this.#matchOf(outgoing);
    // Another queue of the session has a copy that is sent, unless no subscription matches the first routing key.
    if (match === undefined || match.queue === 1 && match !== UNSUBSCRIBED) return;
    if (connection.isOverfull) {
      this.dropped++;
      return;
    }
    const retain = match.retainAsPublished && outgoing.retained;
    if (match.ids === undefined && !retain && connection.isPlain) {
      const packet = fanOut.encoded(connection.version);
      if (packet.length === 0) return;
      this.#countNoAck();
      return connection.deliverEncoded(packet);
    }
    outgoing.retain = retain;
    outgoing.ids = match.ids;
    if (connection.deliver(outgoing)) this.#countNoAck();
    outgoing.retain = false;
    outgoing.ids = undefined;
    outgoing.alias = 0;
    outgoing.aliasKnown = false;
    outgoing.maxPacket = Infinity;
  }

  /** Sends a message of QoS 0 for one subscription. */
  deliverNow(outgoing: OutgoingMessage, subscription: Subscription, retain: boolean, ttl: number): void {
    const { connection } = this;
    if (connection === undefined) return;
    outgoing.retain = retain;
    outgoing.ids = subscription.id === undefined ? undefined : [subscription.id];
    outgoing.ttl = ttl;
    if (connection.deliver(outgoing)) this.#countNoAck();
  }

  deliver(consumer: QueueConsumer, queue: Queue): void {
    const { takenSeq: seq } = queue;
    const lane = queue.lanes[0]!;
    const { outgoing } = this.space;
    const message = queue.messageAt(0, seq);
    // Damaged on disk; the journal has reported it.
    if (message === undefined) return queue.settle(0, seq);
    outgoing.read(message);
    const match = this.#matchOf(outgoing);
    if (match === undefined || match.queue === 0) return queue.settle(0, seq);
    const qos = outgoing.sendQos = Math.min(outgoing.qos, match.qos);
    const packetId = outgoing.packetId = qos === 0 ? 0 : packetIdOf(seq);
    const dup = outgoing.dup = qos > 0 && lane.isRedelivered(seq);
    outgoing.retain = outgoing.isStored || match.retainAsPublished && outgoing.retained;
    outgoing.ids = match.ids;
    const expiry = lane.expiryAt(seq);
    outgoing.ttl = expiry === 0 ? Infinity : expiry - this.space.core.cycle.now;
    const sent = this.connection!.deliver(outgoing);
    // [MQTT-3.1.2-25]
    if (!sent || qos === 0) queue.settle(0, seq);
    if (!sent) return;
    countDelivery(this.connection!.stats, qos === 0, dup);
    countDelivery(this.space.vhost.stats, qos === 0, dup);
    countDelivery(queue.stats, qos === 0, dup);
    if (qos === 0) return;
    consumer.unacked++;
    this.#inflight.set(packetId, seq * 4 + qos);
  }

  onCancelled(): void {
    // An administrator has deleted the queue; the next subscription makes another one.
    this.consumer = undefined;
    this.#inflight.clear();
  }

  /** PUBACK (3.4). */
  onPuback(packetId: number): void {
    const place = this.#inflight.get(packetId);
    if (place !== undefined && place % 4 === 1) this.#settle(packetId, place);
  }

  /** PUBREC (3.5): the message is replaced by the identifier, and PUBREL is sent when that is safe. */
  onPubrec(packetId: number, reasonCode: number): void {
    const connection = this.connection!;
    const place = this.#inflight.get(packetId);
    if (place === undefined || place % 4 !== 2) {
      // 0x92: packet identifier not found
      return connection.acknowledge(PUBREL, packetId, this.#released.has(packetId) ? 0 : 0x92, 0);
    }
    if (reasonCode >= 0x80) return this.#settle(packetId, place);
    const seq = Math.floor(place / 4);
    const queue = this.#queues[1]!;
    this.#inflight.delete(packetId);
    let marker = -1;
    if (this.#state === undefined) queue.settle(0, seq);
    else marker = this.#state.release(packetId, queue, seq);
    this.#count(queue);
    this.#released.set(packetId, marker);
    connection.acknowledge(PUBREL, packetId, 0, marker < 0 ? 0 : this.space.core.intake.position);
  }

  /** PUBCOMP (3.7). */
  onPubcomp(packetId: number): void {
    const marker = this.#released.get(packetId);
    if (marker === undefined) return;
    this.#released.delete(packetId);
    this.#state?.remove(marker);
    this.#gainRoom();
  }

  /** The connection can take messages again. */
  wake(): void {
    const one = this.#queues[1];
    if (one !== undefined) this.space.core.cycle.wake(one);
    this.shared.wake();
  }

  /** Reports messages that were dropped since the last report. */
  reportDropped(): void {
    const total = this.dropped + (this.#queues[1]?.stats.overflowed ?? 0);
    if (total > this.#reported) this.space.onDropped(this.clientId, total - this.#reported);
    this.#reported = total;
  }

  /** Returns how a message is sent; undefined if it is not. */
  #matchOf(outgoing: OutgoingMessage): Match | undefined {
    const { headers, key } = outgoing;
    const only = headers[HEADER.filter];
    if (typeof only === "string") {
      const subscription = this.subscriptions.get(only) ?? this.shared.get(only);
      return subscription === undefined ? undefined : combine([{ ...subscription, queue: 1 }]);
    }
    const match = this.subscriptions.match(key);
    const own = this.subscriptions.noLocal > 0 && headers[HEADER.clientId] === this.clientId;
    if (match !== undefined) return own ? match.foreign : match;
    // A wildcard of a binding selects it, and no subscription [MQTT-4.7.2-1].
    if (own || key.startsWith("$") || this.subscriptions.isLoose) return undefined;
    return UNSUBSCRIBED;
  }

  #settle(packetId: number, place: number): void {
    const queue = this.#queues[1]!;
    const seq = Math.floor(place / 4);
    this.#inflight.delete(packetId);
    if (this.space.vhost.isTraced) queue.traceOutcome("ack", 0, seq, this.connection);
    queue.settle(0, seq);
    this.#count(queue);
    this.#gainRoom();
  }

  #count(queue: Queue): void {
    queue.stats.acknowledged++;
    this.space.vhost.stats.acknowledged++;
    if (this.connection !== undefined) this.connection.stats.acknowledged++;
  }

  /** Counts a delivery that is not acknowledged. */
  #countNoAck(): void {
    this.connection!.stats.deliveredNoAck++;
    this.space.vhost.stats.deliveredNoAck++;
  }

  #gainRoom(): void {
    const queue = this.#queues[1];
    if (this.consumer !== undefined) this.consumer.unacked--;
    if (queue !== undefined && !queue.awake) this.space.core.cycle.wake(queue);
  }

  #queueFor(qos: 0 | 1): Queue {
    const known = this.#queues[qos];
    if (known !== undefined && !known.deleted) return known;
    const name = subscriptionQueue(this.clientId, qos);
    const queue = this.#queues[qos] = this.space.declare(name, this.durable, this, qos === 0);
    if (this.connection !== undefined) this.#use(queue);
    return queue;
  }

  /** Begins to take the messages of a queue. */
  #use(queue: Queue): void {
    if (queue.definition.direct === true) {
      queue.receiver = this;
      return;
    }
    const consumer = this.consumer = new QueueConsumer(queue, this, {
      tag: this.clientId,
      noAck: false,
      exclusive: true,
      priority: 0,
      prefetch: this.connection!.receiveMaximum,
      arguments: {},
    });
    consumer.unacked = this.#released.size;
    queue.addConsumer(consumer);
  }

  #touch(): void {
    for (const queue of this.#queues) queue?.touch();
  }
}

/** How a message is sent that was queued for a subscription that is removed, by another exchange, or by a header `CC`. */
const UNSUBSCRIBED: Match = {
  qos: 1,
  queue: 1,
  retainAsPublished: false,
  ids: undefined,
  foreign: undefined,
};
