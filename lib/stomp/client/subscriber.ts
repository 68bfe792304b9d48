import type { Delivery, Receipt } from "../../link/message.ts";
import type { LinkOptions } from "../../link/options.ts";
import { LinkedReceiver } from "../../link/linked_receiver.ts";
import type { StompFrame } from "../frame.ts";
import { StompError } from "../stomp_error.ts";
import type { StompConnection } from "./connection.ts";
import { DeliveryReader } from "./delivery_reader.ts";
import { STOMP } from "./protocol.ts";
import { Unsettled } from "./unsettled.ts";
import type { StompServer } from "./url.ts";

/** The ids of the subscriptions begin with this. */
const ID = "mqcat-";
const MAX_PREFETCH = 65_535;

/** Options of a subscriber. */
export interface StompSubscriberOptions extends LinkOptions {
  /**
   * Whether messages are acknowledged by `ack` and `nack` (`ack:client-individual`). Otherwise they count as acknowledged
   * when the server has sent them (`ack:auto`).
   */
  readonly acknowledges: boolean;
  /** The maximum number of unacknowledged messages of each subscription, 1 to 65535. Default: 1000 */
  readonly prefetch?: number | undefined;
  /** Returns more headers of the SUBSCRIBE frames of a connection, such as arguments of a queue. Default: none */
  readonly headers?: (() => Readonly<Record<string, string>>) | undefined;
  /** Called for each message, which is valid during the call only. */
  readonly onDelivery: (delivery: Delivery) => void;
  /** Called after all messages of one received chunk. */
  readonly onBatchEnd?: (() => void) | undefined;
}

/**
 * Subscribes to destinations, and subscribes again after a reconnect. Unacknowledged messages of a lost connection are
 * delivered again.
 */
export class StompSubscriber extends LinkedReceiver<StompServer, StompConnection> {
  readonly #destinations: readonly string[];
  readonly #options: StompSubscriberOptions;
  readonly #reader = new DeliveryReader();
  #unsettled: Unsettled | undefined;
  #delivered = 0;
  #cancelled = false;

  /** @param destinations at least one */
  constructor(
    servers: readonly StompServer[],
    destinations: readonly string[],
    options: StompSubscriberOptions,
  ) {
    super(STOMP, servers, options);
    this.#destinations = destinations;
    this.#options = options;
  }

  /** Acknowledges a message, or all up to it. Ignores messages of a lost connection. Call `flush` afterwards. */
  ack({ generation, tag }: Receipt, multiple: boolean): void {
    if (generation !== this.generation) return;
    if (multiple) this.#unsettled?.ackAll(tag);
    else this.#unsettled?.ack(tag);
  }

  /** Rejects a message. Without `requeue`, RabbitMQ dead-letters or discards it. Call `flush` afterwards. */
  nack({ generation, tag }: Receipt, requeue: boolean): void {
    if (generation === this.generation) this.#unsettled?.nack(tag, requeue);
  }

  /**
   * Ends the deliveries. Delivered messages can still be acknowledged, which is why the subscriptions stay: RabbitMQ takes
   * no acknowledgements after UNSUBSCRIBE. Messages that arrive from now on return to their queue when the connection
   * closes.
   */
  cancel(_limit?: number): Promise<void> {
    this.#cancelled = true;
    return Promise.resolve();
  }

  /** @ignore */
  protected override async onUp(connection: StompConnection): Promise<void> {
    this.generation++;
    this.#delivered = 0;
    this.connection = connection;
    this.#unsettled = this.#options.acknowledges ? new Unsettled(connection) : undefined;
    connection.events = {
      onMessage: (frame) => this.#onMessage(frame),
      onBatchEnd: () => this.#options.onBatchEnd?.(),
      onError: (error, _receipt, subscription) => this.#explain(error, subscription),
    };
    const headers = Object.entries(this.#options.headers?.() ?? {});
    for (const [i, destination] of this.#destinations.entries()) {
      await this.#subscribe(connection, destination, `${ID}${i}`, headers);
    }
  }

  async #subscribe(
    connection: StompConnection,
    destination: string,
    id: string,
    headers: readonly (readonly [name: string, value: string])[],
  ): Promise<void> {
    const { acknowledges, prefetch = 1000 } = this.#options;
    try {
      await connection.call("SUBSCRIBE", [
        ["id", id],
        ["destination", destination],
        ["ack", acknowledges ? "client-individual" : "auto"],
        ...(acknowledges ? [["prefetch-count", String(Math.min(prefetch, MAX_PREFETCH))] as const] : []),
        ...headers,
      ]);
    } catch (error) {
      throw error instanceof StompError ? refused(destination, error) : error;
    }
  }

  #onMessage(frame: StompFrame): void {
    if (this.#cancelled) return;
    const tag = ++this.#delivered;
    this.#unsettled?.add(tag, frame);
    this.#options.onDelivery(this.#reader.read(frame, tag));
  }

  /** Names the destination of an error about a subscription. */
  #explain(error: StompError, subscription: string | undefined): Error | undefined {
    const index = subscription?.startsWith(ID) ? Number(subscription.slice(ID.length)) : -1;
    const destination = this.#destinations[index];
    return destination === undefined ? undefined : refused(destination, error);
  }

  /** @ignore */
  protected override onDown(): void {
    this.#unsettled = undefined;
  }
}

function refused(destination: string, error: StompError): StompError {
  return new StompError(error.summary, `destination '${destination}': ${error.details.trim()}`, {
    cause: error,
  });
}
