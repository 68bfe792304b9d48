import { AmqpError } from "../../amqp/amqp_error.ts";
import type { Channel } from "../../amqp/client/channel.ts";
import type { AmqpConnection } from "../../amqp/client/connection.ts";
import { checkEnvelope } from "../../amqp/client/envelope.ts";
import { endsLink } from "../../amqp/client/errors.ts";
import { Link, type LinkOptions } from "../../amqp/client/link.ts";
import type { BrokerAddress } from "../../amqp/client/url.ts";
import type { Signal } from "../../transport/waiting.ts";
import type { Envelope } from "../contract.ts";
import type { RequestEvents, RequestLink, RequestPort } from "../requester.ts";

/**
 * The pseudo-queue of RabbitMQ's direct reply-to: a consumer of it receives the replies to the requests of its channel.
 * Nothing is declared for it.
 */
export const DIRECT_REPLY = "amq.rabbitmq.reply-to";

/** The largest frame that the client offers, in bytes: for requests before the first connection. */
const FRAME_MAX = 131072;

/** Options of the requests to AMQP brokers. */
export interface AmqpRequestOptions extends LinkOptions {
  /** Prepares each connection before the first request, for example checks that the queue exists. */
  readonly prepare?: (connection: AmqpConnection) => Promise<void>;
}

/**
 * Returns a function that makes the link of a `Requester`. Its requests are mandatory and confirmed: one that no queue
 * receives, or that the broker refuses, is a permanent failure.
 */
export function amqpRequests(
  brokers: readonly BrokerAddress[],
  options: AmqpRequestOptions = {},
): (events: RequestEvents) => RequestLink {
  return (events) => new AmqpRequestLink(brokers, options, events);
}

class AmqpRequestLink implements RequestLink {
  readonly replyTo = DIRECT_REPLY;

  readonly #options: AmqpRequestOptions;
  readonly #events: RequestEvents;
  readonly #link: Link;
  #frameMax = FRAME_MAX;

  constructor(brokers: readonly BrokerAddress[], options: AmqpRequestOptions, events: RequestEvents) {
    this.#options = options;
    this.#events = events;
    this.#link = new Link(brokers, options, {
      onUp: (connection) => this.#onUp(connection),
      onDown: () => events.onDown(),
    });
  }

  start(): Promise<void> {
    return this.#link.start();
  }

  get changed(): Signal {
    return this.#link.changed;
  }

  get failure(): Error | undefined {
    return this.#link.failure;
  }

  check(envelope: Envelope): void {
    checkEnvelope(envelope, this.#frameMax);
  }

  close(limit?: number): Promise<void> {
    return this.#link.close(limit);
  }

  async #onUp(connection: AmqpConnection): Promise<void> {
    const events = this.#events;
    await this.#options.prepare?.(connection);
    const channel = await connection.open({
      onDelivery: (delivery) => events.onDelivery(delivery),
      onBatchEnd: () => events.onBatchEnd(),
      onReturn: (_code, text, exchange, routingKey) => this.#link.fail(unroutable(exchange, routingKey, text)),
      onConfirm: (_tag, _multiple, taken) => {
        if (!taken) this.#link.fail(refused(connection.blocked));
      },
    });
    channel.closed.then((error) => {
      if (error instanceof AmqpError && endsLink(error)) this.#link.fail(error);
      else if (error !== undefined) connection.abort(error);
    });
    // The broker knows where replies go only after this consumer exists, which must not acknowledge.
    await channel.call("basic.consume", { queue: DIRECT_REPLY, noAck: true }, "basic.consume-ok");
    await channel.call("confirm.select", {}, "confirm.select-ok");
    this.#frameMax = connection.encoder.frameMax;
    connection.events.onWritable = () => events.onWritable();
    events.onUp(new AmqpRequestPort(connection, channel));
  }
}

/** Sends on the channel that consumes the replies. */
class AmqpRequestPort implements RequestPort {
  readonly #connection: AmqpConnection;
  readonly #channel: Channel;

  constructor(connection: AmqpConnection, channel: Channel) {
    this.#connection = connection;
    this.#channel = channel;
  }

  get full(): boolean {
    return this.#connection.full;
  }

  send({ exchange, routingKey, properties }: Envelope, bytes: Uint8Array, start: number, end: number): void {
    if (this.#channel.over) return; // It is sent again on the next connection.
    this.#connection.encoder.publish(
      this.#channel.id,
      exchange,
      routingKey,
      true,
      properties,
      bytes,
      start,
      end,
    );
  }

  flush(): void {
    this.#connection.flush();
  }

  pause(): void {
    this.#connection.pause();
  }

  resume(): void {
    this.#connection.resume();
  }
}

function unroutable(exchange: string, routingKey: string, text: string): AmqpError {
  return new AmqpError(
    404,
    exchange === ""
      ? `there is no queue '${routingKey}': a request came back (${text})`
      : `no queue is bound to exchange '${exchange}' with the routing key '${routingKey}': ` +
        `a request came back (${text})`,
  );
}

function refused(blocked: string | undefined): AmqpError {
  const reason = blocked ?? "the queue is full, or cannot be written";
  return new AmqpError(406, `the broker refused a request: ${reason}`);
}
