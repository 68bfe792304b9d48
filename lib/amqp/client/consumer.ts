import { AmqpError, amqpError } from "../amqp_error.ts";
import type { FieldTable } from "../types/field_value.ts";
import type { Channel, Delivery } from "./channel.ts";
import type { AmqpConnection } from "./connection.ts";
import { endsLink } from "./errors.ts";
import { Link, type LinkOptions } from "./link.ts";
import type { Signal } from "../../transport/waiting.ts";
import type { BrokerAddress } from "./url.ts";

/** Ours to choose, so that it is known before the first delivery; it need not be unique beyond the channel. */
const CONSUMER_TAG = "mqcat";

/** How to consume. */
export interface ConsumerOptions extends LinkOptions {
  /** How many messages may be unacknowledged, 1 to 65 535. 1000 unless told. */
  readonly prefetch?: number | undefined;
  /** Arguments of the consumer, asked for at each connection; none unless told. */
  readonly arguments?: () => FieldTable;
  /** Prepares each connection, before anything is consumed. */
  readonly prepare?: (connection: AmqpConnection) => Promise<void>;
  /** Takes a message, which is valid during the call. */
  readonly onDelivery: (delivery: Delivery) => void;
  /** Everything that came at once was taken. */
  readonly onBatchEnd?: () => void;
}

/** Which message of which connection: what a lost connection had delivered cannot be acknowledged on the next one. */
export interface Receipt {
  readonly generation: number;
  readonly tag: number;
}

/** Consumes a queue with manual acknowledgements, and goes on after a lost connection; the unacknowledged come again. */
export class Consumer {
  /** How often it was connected. */
  generation = 0;

  readonly #queue: string;
  readonly #options: ConsumerOptions;
  readonly #link: Link;
  #channel: Channel | undefined;
  #connection: AmqpConnection | undefined;
  /** Whether it consumes: until then the broker may answer in another order than it was asked (basic.consume). */
  #ready = false;
  /** Resolves when it does, or cannot. */
  #settingUp: Promise<void> | undefined;
  #delivered = 0;
  #paused = false;

  constructor(brokers: readonly BrokerAddress[], queue: string, options: ConsumerOptions) {
    this.#queue = queue;
    this.#options = options;
    this.#link = new Link(brokers, options, {
      onUp: (connection) => this.#onUp(connection),
      onDown: () => this.#onDown(),
    });
  }

  /** @throws what connecting, `prepare` or consuming throws */
  start(): Promise<void> {
    return this.#link.start();
  }

  /** Fires when the connection comes or goes, or it failed. */
  get changed(): Signal {
    return this.#link.changed;
  }

  /** Why it cannot go on. */
  get failure(): Error | undefined {
    return this.#link.failure;
  }

  /** Acknowledges a message, or all up to it; one of a connection that is gone is passed over. Then `flush`. */
  ack({ generation, tag }: Receipt, multiple: boolean): void {
    if (generation === this.generation) this.#channel?.ack(tag, multiple);
  }

  /** Gives a message back to the queue, or else rejects it, which dead-letters it where the queue says so. */
  nack({ generation, tag }: Receipt, requeue: boolean): void {
    if (generation === this.generation) this.#channel?.nack(tag, false, requeue);
  }

  /** Writes the acknowledgements. */
  flush(): void {
    this.#connection?.flush();
  }

  /** Stops reading, so that the broker is held back. */
  pause(): void {
    this.#paused = true;
    this.#connection?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#connection?.resume();
  }

  /** Whether the queue has no message for us, and none came while we asked. */
  async isDrained(): Promise<boolean> {
    const channel = this.#channel;
    if (channel === undefined || !this.#ready) return false;
    const before = this.#delivered;
    try {
      const args = { queue: this.#queue, passive: true };
      // RabbitMQ's reply overtakes deliveries that were under way when it was asked, but not when it is asked again.
      for (let i = 0; i < 2; i++) {
        const { messageCount } = await channel.call("queue.declare", args, "queue.declare-ok");
        if (messageCount > 0 || this.#delivered !== before) return false;
      }
      return true;
    } catch {
      return false; // The connection was lost, or the link fails with this.
    }
  }

  /** Ends the deliveries; what was delivered can still be acknowledged. */
  async cancel(): Promise<void> {
    // Messages may come in one piece with the answer.
    await this.#settingUp;
    if (!this.#ready) return;
    try {
      await this.#channel?.call("basic.cancel", { consumerTag: CONSUMER_TAG }, "basic.cancel-ok");
    } catch {
      // A lost connection delivers nothing either.
    }
  }

  /** Ends it; what is unacknowledged goes back to the queue. */
  close(): Promise<void> {
    return this.#link.close();
  }

  /** Ends the connection at once, as if it was lost. */
  abort(cause: Error): void {
    this.#connection?.abort(cause);
  }

  async #onUp(connection: AmqpConnection): Promise<void> {
    await this.#options.prepare?.(connection);
    this.generation++;
    const channel = await connection.open({
      onDelivery: (delivery) => {
        this.#delivered++;
        this.#options.onDelivery(delivery);
      },
      onBatchEnd: () => this.#options.onBatchEnd?.(),
      onCancel: () => this.#link.fail(amqpError(404, `queue '${this.#queue}' was deleted`)),
    });
    this.#connection = connection;
    this.#channel = channel;
    channel.closed.then((error) => {
      if (error instanceof AmqpError && endsLink(error)) this.#link.fail(error);
      else if (error !== undefined) connection.abort(error);
    });
    const settingUp = this.#consume(channel);
    this.#settingUp = settingUp.catch(() => {});
    await settingUp;
    if (this.#paused) connection.pause();
  }

  async #consume(channel: Channel): Promise<void> {
    await channel.call("basic.qos", { prefetchCount: this.#options.prefetch ?? 1000 }, "basic.qos-ok");
    const args = this.#options.arguments?.() ?? {};
    const consume = { queue: this.#queue, consumerTag: CONSUMER_TAG, arguments: args };
    await channel.call("basic.consume", consume, "basic.consume-ok");
    this.#ready = true;
  }

  #onDown(): void {
    this.#channel = this.#connection = undefined;
    this.#ready = false;
  }
}
