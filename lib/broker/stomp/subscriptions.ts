import type { TracedClient } from "../core/firehose.ts";
import { amqpError } from "../../amqp/amqp_error.ts";
import type { EncodedMessage } from "../../amqp/frames/frame_encoder.ts";
import { type Destination, formatDestination } from "../../crossing/stomp/destination.ts";
import { booleanOf, integerHeader, writeMessageHeaders } from "../../crossing/stomp/headers.ts";
import { messageOf } from "../../errors.ts";
import type { StompFrame } from "../../stomp/frame.ts";
import { StompError } from "../../stomp/stomp_error.ts";
import { Deliveries } from "../core/clients/deliveries.ts";
import { bindQueue, checkNewConsumer, declareQueue } from "../core/clients/operations.ts";
import { ACK, type Outcome, REJECT, REQUEUE, TRACED } from "../core/clients/outcome.ts";
import { withDeliveryCount } from "../core/dead_letter.ts";
import { addressOf, propertiesOf } from "../core/message.ts";
import { countDelivery } from "../core/message_stats.ts";
import { type ConsumingChannel, QueueConsumer } from "../core/queue/consumer.ts";
import type { Queue } from "../core/queue/queue.ts";
import type { SessionConnection, SessionHost } from "./contract.ts";
import type { Endpoints } from "./endpoints.ts";
import { checkDurableId, declarationOf, isDurable, subscriptionQueue } from "./queue_params.ts";
import { notFor, quote } from "./replies.ts";
import { ackModeOf, tagOf, TEMP_QUEUE } from "./subscription_headers.ts";

/** Separates the parts of a message id: the tag of the subscription, the session, and the number of the delivery. */
const SEPARATOR = "@@";
/** The largest prefetch count; AMQP has 16 bits for it. */
const MAX_PREFETCH = 65_535n;

/** A subscription of a session. */
export interface Subscription {
  readonly consumer: QueueConsumer;
  /** The header `subscription` of its messages; undefined if the client gave no id. */
  readonly id: string | undefined;
  /** Its name in errors. */
  readonly description: string;
  /** Whether an acknowledgement also counts for earlier messages of the subscription. */
  readonly cumulative: boolean;
  /** Whether its queue was made for a topic. */
  readonly isTopic: boolean;
  /** Message ids without the number of the delivery. */
  readonly messageIds: string;
  /** The last delivery that was settled with all before it. */
  settledUpTo: number;
}

/** What ACK and NACK settle. */
export interface Settlement {
  readonly outcome: Outcome;
  readonly subscription: Subscription;
  readonly tag: number;
}

/** The consuming part of a session: subscriptions, deliveries and their acknowledgements. */
export class Subscriptions implements ConsumingChannel {
  /** By tag, for the HTTP API. */
  readonly consumers: Map<string, QueueConsumer> = new Map();
  readonly deliveries: Deliveries = new Deliveries();
  /** Limit of unacknowledged messages for each new subscription; 0 for no limit. */
  prefetch = 0;

  readonly #connection: SessionConnection;
  readonly #host: SessionHost;
  readonly #endpoints: Endpoints;
  /** By tag: `T_` and the id, or `Q_` and the destination. */
  readonly #subscriptions = new Map<string, Subscription>();
  /** The subscriptions of unacknowledged deliveries, which outlive their subscription. */
  readonly #owners = new WeakMap<QueueConsumer, Subscription>();
  /** The queues for replies, by the name of the temporary queue. */
  readonly #replyQueues = new Map<string, string>();

  constructor(connection: SessionConnection, host: SessionHost, endpoints: Endpoints) {
    this.#connection = connection;
    this.#host = host;
    this.#endpoints = endpoints;
  }

  get client(): TracedClient {
    return this.#connection;
  }

  get writable(): boolean {
    return this.#connection.writable;
  }

  get hasRoom(): boolean {
    return this.#connection.writable && this.deliveries.hasRoom;
  }

  /** Handles SUBSCRIBE. @throws {StompError | AmqpError} it is refused */
  subscribe(frame: StompFrame): void {
    checkDurableId(frame);
    const destination = this.#endpoints.destinationOf(frame);
    if (destination.kind === "temp_queue") throw notFor(destination, "SUBSCRIBE");
    const [tag, description] = tagOf(frame);
    if (this.#subscriptions.has(tag)) {
      throw new StompError(
        "Duplicated subscription identifier",
        `A subscription identified by '${tag}' already exists.`,
      );
    }
    const { noAck, cumulative } = ackModeOf(frame);
    const prefetch = frame.get("prefetch-count");
    if (prefetch !== undefined) {
      this.prefetch = Number(integerHeader("prefetch-count", prefetch, MAX_PREFETCH));
    }
    const queue = this.#source(frame, destination);
    this.#add(queue, tag, {
      id: frame.get("id"),
      description,
      cumulative,
      isTopic: destination.kind === "topic",
    }, noAck);
  }

  /** Handles UNSUBSCRIBE; deletes the queue of a durable subscription if the frame says so. */
  unsubscribe(frame: StompFrame): void {
    checkDurableId(frame);
    const [tag, description] = tagOf(frame);
    const subscription = this.#subscriptions.get(tag);
    if (subscription === undefined) {
      throw new StompError(
        "No subscription found",
        `UNSUBSCRIBE must refer to an existing subscription.\nSubscription to ${
          quote(description)
        } not found.\n`,
      );
    }
    const { queue } = subscription.consumer;
    this.#remove(tag, subscription);
    if (!isDurable(frame) || !subscription.isTopic) return;
    const { access, vhost } = this.#connection;
    access.check("configure", "queue", queue.name);
    vhost.deleteQueue({ queue: queue.name, ifUnused: false, ifEmpty: false }, this.#connection);
  }

  /**
   * Finds what an ACK or NACK frame settles.
   *
   * @throws {StompError} the header is missing or invalid, or the subscription does not exist
   */
  settlementOf(frame: StompFrame): Settlement {
    const { command } = frame;
    const { sessionId, version } = this.#connection;
    const header = version === "1.2" ? "id" : "message-id";
    const id = frame.get(header);
    if (id === undefined) {
      throw new StompError("Missing header", `${quote(command)} must include the ${quote(header)} header\n`);
    }
    // The id of a subscription may contain the separator.
    const parts = id.split(SEPARATOR);
    const number = parts.pop()!;
    const session = parts.pop();
    if (session === undefined || parts.length === 0 || !/^\d{1,15}$/.test(number)) {
      throw new StompError(
        "Invalid header",
        `${quote(command)} must include a valid ${quote(header)} header\n`,
      );
    }
    const tag = Number(number);
    const subscription = this.#ownerOf(parts.join(SEPARATOR), tag);
    if (subscription === undefined) {
      throw new StompError("Subscription not found", `Message with id ${quote(id)} has no subscription`);
    }
    if (session !== sessionId) {
      throw new StompError("Invalid header", `Message with id ${quote(id)} is not of this session`);
    }
    const requeue = frame.get("requeue");
    const outcome = command === "ACK"
      ? ACK
      : requeue === undefined || booleanOf("requeue", requeue)
      ? REQUEUE
      : REJECT;
    return { outcome, subscription, tag };
  }

  /** Whether a delivery is not settled yet. */
  isUnsettled({ tag, subscription }: Settlement): boolean {
    const slot = this.deliveries.slotOf(tag);
    return slot >= 0 && this.deliveries.consumers[slot] === subscription.consumer;
  }

  /** Settles a delivery, or all of the subscription up to it. @throws {AmqpError} 406: it is settled already */
  settle(settlement: Settlement): void {
    if (!this.isUnsettled(settlement)) {
      throw amqpError(406, `unknown delivery tag ${settlement.tag}`);
    }
    const { outcome, subscription, tag } = settlement;
    const { deliveries } = this;
    if (subscription.cumulative) {
      for (let at = deliveries.next(subscription.settledUpTo + 1); at < tag; at = deliveries.next(at + 1)) {
        const slot = deliveries.slotOf(at);
        if (deliveries.consumers[slot] === subscription.consumer) this.#settle(outcome, at, slot);
      }
      subscription.settledUpTo = tag;
    }
    this.#settle(outcome, tag, deliveries.slotOf(tag));
  }

  /**
   * Returns the queue for replies to the session, which is consumed from now on.
   *
   * @param name the name of the temporary queue in the header `reply-to`
   */
  replyQueue(name: string): string {
    const known = this.#replyQueues.get(name);
    if (known !== undefined && this.#connection.vhost.queues.has(known)) return known;
    const queue = declareQueue(this.#connection, {
      queue: "",
      passive: false,
      durable: false,
      exclusive: true,
      autoDelete: true,
      arguments: {},
    });
    const id = `${TEMP_QUEUE}${name}`;
    this.#add(queue, `T_${id}`, { id, description: `id='${id}'`, cumulative: false, isTopic: false }, true);
    this.#replyQueues.set(name, queue.name);
    return queue.name;
  }

  deliver(consumer: QueueConsumer, queue: Queue): void {
    const { takenLane: lane, takenSeq: seq } = queue;
    const subscription = this.#subscriptions.get(consumer.options.tag)!;
    const { noAck } = consumer.options;
    const redelivered = queue.lanes[lane]!.isRedelivered(seq);
    const message = this.#messageAt(queue, lane, seq, redelivered);
    if (message === undefined) return queue.settle(lane, seq); // Damaged on disk; the journal has reported it.
    this.#write(subscription, message, redelivered, noAck);
    const { stats, vhost } = this.#connection;
    countDelivery(stats, noAck, redelivered);
    countDelivery(vhost.stats, noAck, redelivered);
    countDelivery(queue.stats, noAck, redelivered);
    if (noAck) {
      this.deliveries.skip();
      queue.settle(lane, seq);
    } else {
      this.deliveries.add(queue, lane, seq, consumer);
      consumer.unacked++;
    }
    this.#connection.touch();
  }

  /** The queue is deleted: the client is informed, and its other subscriptions continue, as in RabbitMQ. */
  onCancelled(consumer: QueueConsumer): void {
    const { tag } = consumer.options;
    const subscription = this.#subscriptions.get(tag);
    if (subscription === undefined) return;
    this.#subscriptions.delete(tag);
    this.consumers.delete(tag);
    const { encoder } = this.#connection;
    encoder.frame(
      "ERROR",
      [
        ["message", "Server cancelled subscription"],
        ["content-type", "text/plain"],
        ["version", "1.0,1.1,1.2"],
        ["subscription", subscription.id ?? consumer.options.tag.slice(2)],
      ],
      utf8.encode(
        "The server has canceled a subscription.\n" +
          `No more messages will be delivered for ${quote(subscription.description)}.\n`,
      ),
    );
    this.#connection.touch();
  }

  /** Continues deliveries: there is room again. */
  wakeQueues(): void {
    for (const { queue } of this.consumers.values()) this.#host.cycle.wake(queue);
  }

  /** Ends all subscriptions and requeues all unacknowledged messages. */
  release(): void {
    for (const [tag, subscription] of this.#subscriptions) this.#remove(tag, subscription);
    const { deliveries } = this;
    while (deliveries.count > 0) {
      this.#settle(REQUEUE, deliveries.first, deliveries.slotOf(deliveries.first));
    }
  }

  /** Returns the queue of a destination; the queue of a topic or an exchange is made and bound. */
  #source(frame: StompFrame, destination: Destination): Queue {
    const connection = this.#connection;
    const { access, vhost } = connection;
    if (destination.kind !== "topic" && destination.kind !== "exchange") {
      if (destination.kind === "queue") this.#endpoints.ensureQueue(frame, destination);
      access.check("read", "queue", destination.key);
      return vhost.queueFor(destination.key, connection);
    }
    const { exchange, key } = destination;
    if (destination.kind === "topic") this.#checkTopic(destination);
    const declared = declarationOf(frame, destination, subscriptionQueue(frame, destination));
    const isNew = !vhost.queues.has(declared.queue);
    const queue = declareQueue(connection, declared);
    try {
      access.check("read", "queue", queue.name);
      bindQueue(connection, { queue: queue.name, exchange, routingKey: key, arguments: {} });
    } catch (error) {
      if (isNew) vhost.removeQueue(queue);
      throw error;
    }
    return queue;
  }

  /** Checks the topic permission, with RabbitMQ's text, which has no code here. */
  #checkTopic({ exchange, key }: Destination): void {
    const { access, vhost } = this.#connection;
    try {
      access.checkTopic("read", vhost.exchanges, exchange, key);
    } catch (error) {
      throw new StompError("access_refused", messageOf(error).replace("ACCESS_REFUSED - ", ""), {
        cause: error,
      });
    }
  }

  /** Returns the subscription with this name: the one of the delivery, which may have ended since, or else the present one. */
  #ownerOf(name: string, tag: number): Subscription | undefined {
    const slot = this.deliveries.slotOf(tag);
    const owner = slot < 0 ? undefined : this.#owners.get(this.deliveries.consumers[slot]!);
    return owner?.consumer.options.tag === name ? owner : this.#subscriptions.get(name);
  }

  #add(
    queue: Queue,
    tag: string,
    options: Pick<Subscription, "id" | "description" | "cumulative" | "isTopic">,
    noAck: boolean,
  ): void {
    checkNewConsumer(queue, false);
    const consumer = new QueueConsumer(queue, this, {
      tag,
      noAck,
      exclusive: false,
      priority: 0,
      prefetch: this.prefetch,
      arguments: {},
    });
    const subscription = {
      ...options,
      consumer,
      messageIds: `${tag}${SEPARATOR}${this.#connection.sessionId}${SEPARATOR}`,
      settledUpTo: 0,
    };
    this.consumers.set(tag, consumer);
    this.#subscriptions.set(tag, subscription);
    this.#owners.set(consumer, subscription);
    queue.addConsumer(consumer);
  }

  #remove(tag: string, { consumer }: Subscription): void {
    this.#subscriptions.delete(tag);
    this.consumers.delete(tag);
    consumer.queue.removeConsumer(consumer);
  }

  #write(
    { id, messageIds }: Subscription,
    message: EncodedMessage,
    redelivered: boolean,
    noAck: boolean,
  ): void {
    const { encoder, version } = this.#connection;
    const { exchange, routingKey } = addressOf(message);
    const messageId = `${messageIds}${this.deliveries.last + 1}`;
    encoder.begin("MESSAGE");
    if (id !== undefined) encoder.header("subscription", id);
    encoder.header("destination", formatDestination(exchange, routingKey));
    encoder.header("message-id", messageId);
    encoder.header("redelivered", redelivered ? "true" : "false");
    if (!noAck && version === "1.2") encoder.header("ack", messageId);
    writeMessageHeaders(encoder, propertiesOf(message));
    encoder.end(message.body, message.bodyStart, message.bodyEnd);
  }

  #messageAt(queue: Queue, lane: number, seq: number, redelivered: boolean): EncodedMessage | undefined {
    const message = queue.messageAt(lane, seq);
    return message !== undefined && redelivered && queue.settings.type === "quorum"
      ? withDeliveryCount(message, queue.returnsOf(seq))
      : message;
  }

  #settle(outcome: Outcome, tag: number, slot: number): void {
    const { deliveries } = this;
    const queue = deliveries.queues[slot]!;
    const consumer = deliveries.consumers[slot]!;
    const lane = deliveries.lanes[slot]!;
    const seq = deliveries.seqs[slot]!;
    deliveries.settle(tag, slot);
    // First of all: a message that is dead-lettered may be delivered to this same consumer.
    consumer.unacked--;
    const connection = this.#connection;
    if (connection.vhost.isTraced) queue.traceOutcome(TRACED[outcome], lane, seq, connection);
    if (outcome === ACK) {
      queue.settle(lane, seq);
      this.#connection.stats.acknowledged++;
      this.#connection.vhost.stats.acknowledged++;
      queue.stats.acknowledged++;
    } else if (outcome === REQUEUE) queue.giveBack(lane, seq);
    else queue.reject(lane, seq);
    if (!queue.awake) this.#host.cycle.wake(queue);
  }
}

const utf8 = new TextEncoder();
