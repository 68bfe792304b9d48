import { countDelivery, countGet } from "../../core/message_stats.ts";
import type { TracedClient } from "../../core/firehose.ts";
import { amqpError } from "../../../amqp/amqp_error.ts";
import { messageOf } from "../../../errors.ts";
import type { Filter } from "../../../filter/filter.ts";
import { AckFields } from "../../../amqp/basic_fields.ts";
import { isCapable } from "../../../amqp/capabilities.ts";
import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import { BASIC_ACK } from "../../../amqp/methods.ts";
import { DRAIN, WHERE } from "../../../amqp/peek.ts";
import { type FieldTable, integerOf } from "../../../amqp/types/field_value.ts";
import { resource, typeName } from "../../core/arguments.ts";
import { withDeliveryCount } from "../../core/dead_letter.ts";
import { type ConsumingChannel, QueueConsumer } from "../../core/queue/consumer.ts";
import { brokerFilter } from "../../core/queue/matches.ts";
import type { Queue } from "../../core/queue/queue.ts";
import { randomName } from "../../core/clients/names.ts";
import { checkNewConsumer } from "../../core/clients/operations.ts";
import type { ChannelContext, ChannelJob, JobState } from "./contract.ts";
import { Deliveries } from "../../core/clients/deliveries.ts";
import type { ReplyReceiver } from "../../core/clients/direct_reply.ts";
import { ACK, type Outcome, REJECT, REQUEUE, TRACED, unknownTag } from "../../core/clients/outcome.ts";

/** The filter in the arguments of a consumer; undefined if there is none. @throws {AmqpError} 406: it is malformed */
export function filterOf(args: FieldTable): Filter | undefined {
  const text = args[WHERE];
  if (text === undefined) return undefined;
  if (typeof text !== "string") throw amqpError(406, `invalid arg '${WHERE}': it must be a text`);
  try {
    return brokerFilter(text);
  } catch (error) {
    throw amqpError(406, `invalid arg '${WHERE}': ${messageOf(error)}`);
  }
}

/** The arguments of `basic.consume`. */
export interface ConsumeArgs {
  readonly consumerTag: string;
  readonly noAck: boolean;
  readonly exclusive: boolean;
  readonly arguments: FieldTable;
}

/** The consuming part of a channel: consumers, deliveries and their acknowledgements, prefetch. */
export class Consuming implements ConsumingChannel, ReplyReceiver {
  readonly #channel: ChannelContext;
  readonly deliveries: Deliveries = new Deliveries();
  /** By tag. Under a prefetch limit of the channel, the consumer that has waited the longest is the first. */
  readonly consumers: Map<string, QueueConsumer> = new Map();
  /** Limit of unacknowledged messages for all consumers of the channel together; 0 for no limit. */
  globalPrefetch = 0;
  /** Limit of unacknowledged messages for each new consumer; 0 for no limit. */
  prefetch = 0;
  /** Jobs that have more to do, and how their last turn ended. */
  readonly #jobs = new Map<ChannelJob, JobState>();
  /** Unacknowledged messages of consumers; messages of `basic.get` do not count against a prefetch limit. */
  #consumed = 0;
  readonly #fields = new AckFields();

  constructor(channel: ChannelContext) {
    this.#channel = channel;
  }

  /** A consumer without acknowledgement does not count for the limit of the channel, but waits for it, as in RabbitMQ. */
  get writable(): boolean {
    return this.#channel.connection.writable &&
      (this.globalPrefetch === 0 || this.#consumed < this.globalPrefetch);
  }

  get hasRoom(): boolean {
    return this.writable && this.deliveries.hasRoom;
  }

  /** @throws {AmqpError} 530: the tag is in use */
  checkTag(tag: string): void {
    if (this.consumers.has(tag)) throw amqpError(530, `attempt to reuse consumer tag '${tag}'`);
  }

  /**
   * Makes a consumer; the caller adds it to the queue.
   *
   * @throws {AmqpError} 403: the queue has an exclusive consumer; 406: an argument is invalid; 540: a quorum queue does
   *   not support the prefetch limit of a channel
   */
  consume(queue: Queue, args: ConsumeArgs): QueueConsumer {
    const tag = args.consumerTag || `amq.ctag-${randomName()}`;
    const { definition: { name, vhost }, settings } = queue;
    const what = resource("queue", name, vhost);
    checkNewConsumer(queue, args.exclusive);
    if (settings.type === "quorum" && this.globalPrefetch > 0) {
      throw amqpError(540, `${what} does not support global qos`);
    }
    const given = args.arguments["x-priority"];
    const priority = integerOf(given) ?? 0;
    if (given !== undefined && integerOf(given) === undefined) {
      throw amqpError(
        406,
        `invalid arg 'x-priority' for ${what}: "expected integer, got ${typeName(given)}"`,
      );
    }
    const consumer = new QueueConsumer(queue, this, {
      tag,
      noAck: args.noAck,
      exclusive: args.exclusive,
      priority,
      prefetch: this.prefetch,
      arguments: args.arguments,
      filter: filterOf(args.arguments),
      drain: args.arguments[DRAIN] === true,
    });
    this.consumers.set(tag, consumer);
    return consumer;
  }

  /** Starts a job, which ends with `basic.cancel`. */
  start(job: ChannelJob): void {
    this.#run(job);
  }

  #run(job: ChannelJob): void {
    const state = job.run();
    this.#jobs.set(job, state);
    if (state === "done") this.#jobs.delete(job);
    else if (state === "paused") setTimeout(() => this.#continue(job), 0);
  }

  /** The next turn of a job, unless it has been cancelled meanwhile. */
  #continue(job: ChannelJob): void {
    if (!this.#jobs.has(job)) return;
    const { cycle } = this.#channel.host;
    cycle.begin();
    try {
      this.#run(job);
    } finally {
      cycle.end();
    }
  }

  /** `basic.cancel`: ends a consumer or a job. */
  cancel(tag: string): void {
    const consumer = this.consumers.get(tag);
    if (consumer === undefined) {
      for (const job of this.#jobs.keys()) if (job.tag === tag) this.#jobs.delete(job);
      return;
    }
    this.consumers.delete(tag);
    consumer.queue.removeConsumer(consumer);
  }

  get client(): TracedClient {
    return this.#channel.connection;
  }

  deliver(consumer: QueueConsumer, queue: Queue): void {
    const { connection, number, stats } = this.#channel;
    const { takenLane: lane, takenSeq: seq } = queue;
    const { tag: consumerTag, noAck } = consumer.options;
    const redelivered = queue.lanes[lane]!.isRedelivered(seq);
    const message = this.#messageAt(queue, lane, seq, redelivered);
    if (message === undefined) return queue.settle(lane, seq); // Damaged on disk; the journal has reported it.
    connection.encoder.deliver(number, consumerTag, this.deliveries.last + 1, redelivered, message);
    countDelivery(stats, noAck, redelivered);
    countDelivery(connection.vhost.stats, noAck, redelivered);
    countDelivery(queue.stats, noAck, redelivered);
    if (noAck) {
      this.deliveries.skip();
      queue.settle(lane, seq);
    } else {
      this.deliveries.add(queue, lane, seq, consumer);
      consumer.unacked++;
      this.#consumed++;
      if (this.globalPrefetch > 0 && this.consumers.size > 1) {
        this.consumers.delete(consumerTag);
        this.consumers.set(consumerTag, consumer);
      }
    }
    connection.touch();
  }

  /** `basic.get`. */
  get(queue: Queue, noAck: boolean): void {
    const { definition: { name, vhost }, settings } = queue;
    if (settings.type === "quorum" && settings.singleActiveConsumer) {
      throw amqpError(
        405,
        `cannot obtain access to locked ${
          resource("queue", name, vhost)
        }. basic.get operations are not supported by ` +
          "quorum queues with single active consumer",
      );
    }
    queue.touch();
    queue.catchUp();
    const { connection, host, number } = this.#channel;
    const { stats } = this.#channel;
    const { stats: vhostStats } = connection.vhost;
    if (!queue.take()) {
      stats.getEmpty++;
      vhostStats.getEmpty++;
      queue.stats.getEmpty++;
      return this.#channel.send("basic.get-empty", {});
    }
    const { takenLane: lane, takenSeq: seq } = queue;
    // Messages after this one may have expired and must not be counted. This comes before the message is read: a
    // dead-lettered message is written to the journal.
    queue.expire();
    queue.traceTaken(connection);
    const redelivered = queue.lanes[lane]!.isRedelivered(seq);
    // RabbitMQ shows a count of 0 only here.
    const message = this.#messageAt(queue, lane, seq, true);
    if (message === undefined) {
      queue.settle(lane, seq); // Damaged on disk; the journal has reported it.
      return this.get(queue, noAck);
    }
    const tag = noAck ? this.deliveries.skip() : this.deliveries.add(queue, lane, seq, undefined);
    connection.encoder.getOk(number, tag, redelivered, queue.ready, message);
    countGet(stats, noAck, redelivered);
    countGet(vhostStats, noAck, redelivered);
    countGet(queue.stats, noAck, redelivered);
    queue.stats.activeAt = host.cycle.now;
    if (noAck) queue.settle(lane, seq);
    queue.noteDelivered();
    connection.touch();
  }

  deliverReply(consumerTag: string, message: EncodedMessage): void {
    const { connection, number } = this.#channel;
    if (!connection.writable) return;
    // Replies are not acknowledged, so they use up no delivery tag.
    connection.encoder.deliver(number, consumerTag, this.deliveries.last + 1, false, message);
    connection.touch();
  }

  onCancelled(consumer: QueueConsumer): void {
    this.consumers.delete(consumer.options.tag);
    if (!isCapable(this.#channel.connection.clientProperties, "consumer_cancel_notify")) return;
    this.#channel.send("basic.cancel", { consumerTag: consumer.options.tag, noWait: true });
  }

  /** `basic.ack`, `basic.nack`, `basic.reject`. */
  settle(method: number, bytes: Uint8Array, start: number, end: number): void {
    const fields = this.#fields;
    fields.read(bytes, start, end);
    const { deliveryTag, multiple } = fields;
    const outcome = method === BASIC_ACK ? ACK : fields.requeue ? REQUEUE : REJECT;
    const { transaction } = this.#channel;
    if (transaction !== undefined) transaction.settle(outcome, deliveryTag, multiple);
    else this.apply(outcome, deliveryTag, multiple);
  }

  /** Settles one delivery, or all up to a tag. @throws {AmqpError} 406: the tag is unknown or already settled */
  apply(outcome: Outcome, tag: number, multiple: boolean): void {
    const { deliveries } = this;
    // 0 stands for all deliveries (AMQP 0-9-1 reference, basic.ack).
    if (multiple && tag === 0) return this.applyUpTo(outcome, deliveries.last);
    const slot = this.slotOf(tag);
    if (multiple) this.applyUpTo(outcome, tag);
    else this.#settle(outcome, tag, slot);
  }

  /** Returns the slot of an unsettled delivery. @throws {AmqpError} 406: the tag is unknown or already settled */
  slotOf(tag: number): number {
    const slot = this.deliveries.slotOf(tag);
    if (slot < 0) throw unknownTag(tag);
    return slot;
  }

  /** `basic.recover`: requeues all unacknowledged messages. */
  recover(): void {
    const { deliveries } = this;
    const { transaction } = this.#channel;
    if (transaction === undefined) return this.applyUpTo(REQUEUE, deliveries.last);
    // Messages that the transaction settles stay until it is committed or rolled back.
    const { last } = deliveries;
    for (let tag = deliveries.next(1); tag <= last; tag = deliveries.next(tag + 1)) {
      if (!transaction.settles(tag)) this.#settle(REQUEUE, tag, deliveries.slotOf(tag));
    }
  }

  /** Ends all consumers and requeues all unacknowledged messages. */
  release(): void {
    this.#jobs.clear();
    for (const consumer of [...this.consumers.values()]) this.cancel(consumer.options.tag);
    this.applyUpTo(REQUEUE, this.deliveries.last);
    this.#channel.host.directReplies.close(this);
  }

  /** Continues deliveries: there is room again. */
  wakeQueues(): void {
    for (const [job, state] of [...this.#jobs]) if (state === "blocked") this.#run(job);
    for (const { queue } of this.consumers.values()) this.#channel.host.cycle.wake(queue);
  }

  #messageAt(queue: Queue, lane: number, seq: number, counted: boolean): EncodedMessage | undefined {
    const message = queue.messageAt(lane, seq);
    return message !== undefined && counted && queue.settings.type === "quorum"
      ? withDeliveryCount(message, queue.returnsOf(seq))
      : message;
  }

  /** Settles all deliveries up to a tag. */
  applyUpTo(outcome: Outcome, last: number): void {
    const { deliveries } = this;
    while (deliveries.count > 0 && deliveries.first <= last) {
      this.#settle(outcome, deliveries.first, deliveries.slotOf(deliveries.first));
    }
  }

  #settle(outcome: Outcome, tag: number, slot: number): void {
    const { deliveries } = this;
    const queue = deliveries.queues[slot]!;
    const consumer = deliveries.consumers[slot];
    const lane = deliveries.lanes[slot]!;
    const seq = deliveries.seqs[slot]!;
    deliveries.settle(tag, slot);
    // First of all: a message that is dead-lettered may be delivered to this same consumer.
    if (consumer !== undefined) {
      consumer.unacked--;
      this.#consumed--;
    }
    const { connection, stats } = this.#channel;
    if (connection.vhost.isTraced) queue.traceOutcome(TRACED[outcome], lane, seq, connection);
    if (outcome === ACK) {
      queue.settle(lane, seq);
      stats.acknowledged++;
      connection.vhost.stats.acknowledged++;
      queue.stats.acknowledged++;
    } else if (outcome === REQUEUE) queue.giveBack(lane, seq);
    else queue.reject(lane, seq);
    if (consumer === undefined) return;
    // Room on the channel is room for its other consumers, as well; they come first.
    if (this.globalPrefetch > 0 && this.consumers.size > 1) this.wakeQueues();
    if (!queue.awake) this.#channel.host.cycle.wake(queue);
  }
}
