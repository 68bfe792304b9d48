/** Request on AMQP brokers. */
import { AmqpError } from "../../amqp/amqp_error.ts";
import type { Channel } from "../../amqp/client/channel.ts";
import type { AmqpConnection } from "../../amqp/client/connection.ts";
import { checkEnvelope } from "../../amqp/client/envelope.ts";
import { endsLink } from "../../amqp/client/errors.ts";
import { Link, type LinkOptions } from "../../amqp/client/link.ts";
import type { AmqpAddress, BrokerAddress } from "../../amqp/client/url.ts";
import type { Signal } from "../../transport/waiting.ts";
import type { Envelope } from "../contract.ts";
import {
  Requester,
  type RequesterOptions,
  type RequestEvents,
  type RequestLink,
  type RequestPort,
} from "../requester.ts";
import { type Prepare, queueOf, requireQueue } from "./send.ts";

/**
 * The pseudo-queue of RabbitMQ's direct reply-to: a consumer of it receives the replies to the requests of its channel.
 * Nothing is declared for it.
 */
export const DIRECT_REPLY = "amq.rabbitmq.reply-to";

/** The largest frame that the client offers, in bytes: for requests before the first connection. */
const FRAME_MAX = 131072;

/** Options of `request`. */
export interface RequestOptions extends LinkOptions, RequesterOptions {
  /** Prepares each connection before the first request. Default: the queue of the address must exist. */
  readonly prepare?: Prepare | undefined;
}

/**
 * Sends requests to the queue of an address, or to an exchange. The envelopes name it. Requests are mandatory and
 * confirmed: one that no queue receives, or that the broker refuses, is a permanent failure.
 *
 * @throws {EndpointError} the address has no name, and there is no `prepare`
 */
export function request(address: AmqpAddress, options: RequestOptions): Requester {
  const { prepare = requireQueue(queueOf(address), false) } = options;
  return new Requester((events) => new AmqpRequestLink(address.brokers, options, prepare, events), options);
}

class AmqpRequestLink implements RequestLink {
  readonly replyTo = DIRECT_REPLY;

  readonly #prepare: Prepare;
  readonly #events: RequestEvents;
  readonly #link: Link;
  #frameMax = FRAME_MAX;

  constructor(
    brokers: readonly BrokerAddress[],
    options: LinkOptions,
    prepare: Prepare,
    events: RequestEvents,
  ) {
    this.#prepare = prepare;
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
    await this.#prepare(connection);
    const channel = await connection.open({
      onDelivery: (delivery) => events.onDelivery(delivery),
      onBatchEnd: () => events.onBatchEnd(),
      onReturn: (_code, text, exchange, routingKey) =>
        this.#link.fail(unroutable(exchange, routingKey, text)),
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
