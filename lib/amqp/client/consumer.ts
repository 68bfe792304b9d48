import { AmqpError, amqpError } from "../amqp_error.ts";
import { DRAIN, WHERE } from "../peek.ts";
import type { FieldTable } from "../types/field_value.ts";
import type { Channel, Delivery } from "./channel.ts";
import type { AmqpConnection } from "./connection.ts";
import { awayError, explainQueue, isGone } from "./availability.ts";
import { type Deliveries, watchDeliveries } from "./delivery_watch.ts";
import { endsLink } from "./errors.ts";
import { AMQP, type LinkOptions } from "./link.ts";
import type { Receipt } from "../../link/message.ts";
import { LinkedReceiver } from "../../link/linked_receiver.ts";
import { findQueue, type QueueState } from "./queues.ts";
import type { BrokerAddress } from "./url.ts";

export type { Receipt } from "../../link/message.ts";

/** Chosen by the client, so that it is known before the first delivery. It is unique in its channel. */
const CONSUMER_TAG = "mqcat";

/** The default time limit for the reply to `basic.cancel`, in milliseconds. */
const CANCEL_MS = 10_000;

/** Options of a consumer. */
export interface ConsumerOptions extends LinkOptions {
  /** The maximum number of unacknowledged messages, 1 to 65535. Default: 1000 */
  readonly prefetch?: number | undefined;
  /** Returns the arguments of the consumer, for each connection. Default: no arguments */
  readonly arguments?: () => FieldTable;
  /** A filter for the server. A server that has no filters (`connection.sweeps`) delivers all messages. */
  readonly where?: string | undefined;
  /** With a filter: whether only the messages that are in the queue when the consumer starts are of interest. */
  readonly drain?: boolean | undefined;
  /** Prepares each connection, before the consumer starts on it. */
  readonly prepare?: (connection: AmqpConnection) => Promise<void>;
  /** Called for each message, which is valid during the call only. */
  readonly onDelivery: (delivery: Delivery) => void;
  /** Called after all messages of one received chunk. */
  readonly onBatchEnd?: () => void;
}

/** The name of a queue, or a function that declares a queue on each connection and returns its name. */
export type ConsumedQueue = string | ((connection: AmqpConnection) => Promise<string>);

/** Consumes a queue with manual acknowledgements. After a reconnect the unacknowledged messages are delivered again. */
export class Consumer extends LinkedReceiver<BrokerAddress, AmqpConnection> {
  readonly #given: ConsumedQueue;
  /** The name of the queue on the current or last connection. */
  #queue = "";
  readonly #options: ConsumerOptions;
  #channel: Channel | undefined;
  /** Whether `basic.consume-ok` arrived. Before it RabbitMQ may answer calls in another order. */
  #ready = false;
  /** Resolves when the consumer is set up, or failed to be. */
  #settingUp: Promise<void> | undefined;
  /** Of the current or last connection. */
  #deliveries: Deliveries = { delivered: 0, settled: 0 };
  /** Whether the server has tested all messages; undefined when it does not report that. */
  #tested: boolean | undefined;

  constructor(brokers: readonly BrokerAddress[], queue: ConsumedQueue, options: ConsumerOptions) {
    super(AMQP, brokers, options);
    this.#given = queue;
    this.#options = options;
  }

  /** Whether the server applies the filter. */
  get selects(): boolean {
    return this.#options.where !== undefined && this.connection?.sweeps === true;
  }

  /** Acknowledges a message, or all up to it. Ignores messages of a lost connection. Call `flush` afterwards. */
  ack({ generation, tag }: Receipt, multiple: boolean): void {
    if (generation !== this.generation) return;
    // After acknowledgements out of order this may be too low, until the tags have passed them.
    if (multiple) this.#deliveries.settled = tag;
    else this.#deliveries.settled++;
    this.#channel?.ack(tag, multiple);
  }

  /** Rejects a message. Without `requeue` the server dead-letters or discards it. Call `flush` afterwards. */
  nack({ generation, tag }: Receipt, requeue: boolean): void {
    if (generation !== this.generation) return;
    this.#deliveries.settled++;
    this.#channel?.nack(tag, false, requeue);
  }

  /**
   * Whether the queue has no ready message, and none was delivered during the check.
   *
   * A quorum queue without a leader answers that it has no messages: it then has no consumers either, although this one is
   * subscribed.
   *
   * Call it only while no message is unacknowledged.
   */
  isDrained(): Promise<boolean> {
    return this.#isQuiet(({ messageCount, consumerCount }) => messageCount === 0 && consumerCount > 0);
  }

  /**
   * Whether the broker has nothing more to deliver for now: of a stream, whether its end is reached. `prefetch` must have room
   * for more messages.
   */
  isAtEnd(): Promise<boolean> {
    return this.#isQuiet(() => true);
  }

  /** Whether the queue answers as expected, and nothing is delivered meanwhile. */
  async #isQuiet(
    isExpected: (state: Pick<QueueState, "messageCount" | "consumerCount">) => boolean,
  ): Promise<boolean> {
    const channel = this.#channel;
    if (channel === undefined || !this.#ready) return false;
    if (this.#tested !== undefined) return this.#tested;
    const before = this.#deliveries.delivered;
    try {
      const args = { queue: this.#queue, passive: true };
      // RabbitMQ's first reply may overtake deliveries that were sent before it, the second one does not.
      for (let i = 0; i < 2; i++) {
        const state = await channel.call("queue.declare", args, "queue.declare-ok");
        if (!isExpected(state) || this.#deliveries.delivered !== before) return false;
      }
      return true;
    } catch {
      return false; // The connection was lost, or the link fails with this error.
    }
  }

  /**
   * Ends the deliveries. Delivered messages can still be acknowledged.
   *
   * @param limit the time limit for the reply of the server, in milliseconds. Default: 10000
   */
  async cancel(limit = CANCEL_MS): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise((resolve) => timer = setTimeout(resolve, limit));
    await Promise.race([this.#cancel(), late]);
    clearTimeout(timer);
  }

  async #cancel(): Promise<void> {
    // `basic.cancel` is valid only after `basic.consume-ok`.
    await this.#settingUp;
    if (!this.#ready) return;
    try {
      await this.#channel?.call("basic.cancel", { consumerTag: CONSUMER_TAG }, "basic.cancel-ok");
    } catch {
      // A lost connection delivers nothing, too.
    }
  }

  /** @ignore */
  protected override async onUp(connection: AmqpConnection): Promise<void> {
    await this.#options.prepare?.(connection);
    this.#queue = typeof this.#given === "string" ? this.#given : await this.#given(connection);
    this.generation++;
    const deliveries = this.#deliveries = { delivered: 0, settled: 0 };
    const channel = await connection.open({
      onDelivery: (delivery) => {
        deliveries.delivered++;
        this.#options.onDelivery(delivery);
      },
      onBatchEnd: () => this.#options.onBatchEnd?.(),
      onCancel: () => this.#onCancel(connection),
    });
    this.connection = connection;
    this.#channel = channel;
    channel.closed.then((error) => {
      if (this.#ready && isGone(error)) this.link.fail(deleted(this.#queue));
      else if (error instanceof AmqpError && endsLink(error)) this.link.fail(error);
      else if (error !== undefined) connection.abort(error);
    });
    const settingUp = this.#consume(channel, this.#selection(connection));
    this.#settingUp = settingUp.catch(() => {});
    await settingUp;
    // Messages that a filter leaves in the queue are not acknowledged; mqcat's own broker does not forget.
    if (!connection.peeks) watchDeliveries(connection, channel, this.#queue, deliveries);
  }

  /** The arguments with which the server selects messages. */
  #selection({ sweeps }: AmqpConnection): FieldTable {
    const { where, drain = false } = this.#options;
    if (where === undefined || !sweeps) return {};
    this.#tested = drain ? false : undefined;
    return { [WHERE]: where, [DRAIN]: drain };
  }

  async #consume(channel: Channel, selection: FieldTable): Promise<void> {
    const { where, prefetch = 1000 } = this.#options;
    // Messages that do not match stay unacknowledged: no limit could be large enough.
    const prefetchCount = where === undefined || this.selects ? prefetch : 0;
    await channel.call("basic.qos", { prefetchCount }, "basic.qos-ok");
    const args = { ...this.#options.arguments?.(), ...selection };
    const consume = { queue: this.#queue, consumerTag: CONSUMER_TAG, arguments: args };
    try {
      await channel.call("basic.consume", consume, "basic.consume-ok");
    } catch (error) {
      throw explainQueue(this.#queue, error);
    }
    this.#ready = true;
  }

  #onCancel(connection: AmqpConnection): void {
    if (this.#tested === undefined) this.#lookAgain(connection);
    else {
      this.#tested = true;
      this.#options.onBatchEnd?.();
    }
  }

  /** The broker ended the deliveries: because the queue was deleted, or because its node is down. */
  async #lookAgain(connection: AmqpConnection): Promise<void> {
    const queue = this.#queue;
    try {
      if (await findQueue(connection, queue) === undefined) {
        return this.link.fail(deleted(queue));
      }
      connection.abort(awayError(queue, "the broker ended the deliveries"));
    } catch (error) {
      connection.abort(error as Error);
    }
  }

  /** @ignore */
  protected override onDown(): void {
    this.#channel = undefined;
    this.#ready = false;
  }
}

function deleted(queue: string): AmqpError {
  return amqpError(404, `queue '${queue}' was deleted`);
}
