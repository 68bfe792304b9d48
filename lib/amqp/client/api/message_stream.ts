import type { Delivery } from "../channel.ts";
import { Consumer } from "../consumer.ts";
import type { LinkOptions } from "../link.ts";
import type { BrokerAddress } from "../url.ts";
import { untilAborted } from "./abort.ts";
import { ReceivedMessage, type Settler } from "./received_message.ts";
import type { AmqpConsumer, AmqpMessage, AmqpWaitOptions, ConsumeOptions } from "./types.ts";

/** The default maximum number of unacknowledged messages: enough for a busy consumer, few enough to share a queue. */
const PREFETCH = 100;

/** A delivery in the buffer, with the number of the connection that it came on. */
interface Buffered {
  readonly message: ReceivedMessage;
  readonly generation: number;
}

/** A consumer as an async iterable. Its buffer holds at most as many messages as the prefetch allows. */
export class MessageStream implements AmqpConsumer, Settler {
  readonly queue: string;

  readonly #consumer: Consumer;
  readonly #signal: AbortSignal | undefined;
  readonly #onClose: (stream: MessageStream) => void;
  #buffer: Buffered[] = [];
  #closing: Promise<void> | undefined;
  #flushing = false;

  /** @param onClose called once, when the stream begins to close */
  constructor(
    brokers: readonly BrokerAddress[],
    queue: string,
    link: LinkOptions,
    options: ConsumeOptions,
    onClose: (stream: MessageStream) => void,
  ) {
    this.queue = queue;
    this.#signal = options.signal;
    this.#onClose = onClose;
    const { prefetch = PREFETCH, arguments: args = {} } = options;
    if (!Number.isInteger(prefetch) || prefetch < 1 || prefetch > 65535) {
      throw new RangeError(
        `Cannot consume as 'prefetch' must be an integer from 1 to 65535: received ${prefetch}`,
      );
    }
    this.#consumer = new Consumer(brokers, queue, {
      ...link,
      prefetch,
      arguments: () => args,
      onDelivery: (delivery) => this.#onDelivery(delivery),
      onBatchEnd: () => this.#consumer.changed.fire(),
    });
  }

  /** Connects and starts the consumer; closes it when that fails. */
  async start(): Promise<void> {
    try {
      await untilAborted(this.#consumer.start(), this.#signal);
    } catch (error) {
      this.close().catch(() => {});
      throw error;
    }
    this.#signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  async receive({ signal }: AmqpWaitOptions = {}): Promise<AmqpMessage | undefined> {
    for (;;) {
      this.#signal?.throwIfAborted();
      signal?.throwIfAborted();
      if (this.#closing !== undefined) return undefined;
      const message = this.#next();
      if (message !== undefined) return message;
      if (this.#consumer.failure !== undefined) throw this.#consumer.failure;
      await untilAborted(this.#consumer.changed.wait(), signal);
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<AmqpMessage, undefined> {
    for (let message = await this.receive(); message !== undefined; message = await this.receive()) {
      yield message;
    }
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  settle(generation: number, tag: number, outcome: "ack" | "requeue" | "reject"): void {
    const receipt = { generation, tag };
    if (outcome === "ack") this.#consumer.ack(receipt, false);
    else this.#consumer.nack(receipt, outcome === "requeue");
    if (this.#flushing) return;
    // Acknowledgements of one task are written together.
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      this.#consumer.flush();
    });
  }

  readonly #onAbort = (): void => {
    this.close().catch(() => {});
  };

  async #close(): Promise<void> {
    this.#onClose(this);
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#buffer = [];
    this.#consumer.flush();
    this.#consumer.changed.fire();
    await this.#consumer.close();
  }

  #onDelivery({ content, deliveryTag, exchange, routingKey, redelivered }: Delivery): void {
    if (this.#closing !== undefined) return;
    const { properties, propertiesEnd, body, bodyStart, bodyEnd } = content;
    const { generation } = this.#consumer;
    const fields = {
      deliveryTag,
      exchange,
      routingKey,
      redelivered,
      properties: properties.slice(0, propertiesEnd),
      body: body.slice(bodyStart, bodyEnd),
    };
    this.#buffer.push({ message: new ReceivedMessage(fields, this, generation), generation });
  }

  /** The next message in the buffer. Those of a lost connection are dropped: the broker delivers them again. */
  #next(): ReceivedMessage | undefined {
    for (let next = this.#buffer.shift(); next !== undefined; next = this.#buffer.shift()) {
      if (next.generation === this.#consumer.generation) return next.message;
    }
    return undefined;
  }
}
