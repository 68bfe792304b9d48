import type { PortEvents, Publishing } from "../../link/port.ts";
import {
  Publisher as SharedPublisher,
  type PublisherOptions as SharedOptions,
} from "../../link/publisher.ts";
import { AmqpError } from "../amqp_error.ts";
import type { Channel } from "./channel.ts";
import type { AmqpConnection } from "./connection.ts";
import { type Confirms, watchConfirms } from "./confirm_watch.ts";
import { checkEnvelope } from "./envelope.ts";
import { endsLink } from "./errors.ts";
import { AMQP } from "./link.ts";
import { ChannelPort, isReturned, type Mandatory } from "./publisher_port.ts";
import type { BrokerAddress } from "./url.ts";

export type { Bodies, Envelope } from "../../link/message.ts";
export type { Outcome } from "../../link/run.ts";

/** Options of a publisher. */
export interface PublisherOptions extends SharedOptions<AmqpConnection> {
  /** Whether the broker returns messages that it routes to no queue, all or some of them. Default: true */
  readonly mandatory?: Mandatory | undefined;
}

/** The largest frame that the client offers, in bytes: for messages accepted before the first connection. */
const FRAME_MAX = 131072;

/** Opens a channel with confirms on each connection. */
class Confirming implements Publishing<AmqpConnection> {
  frameMax = FRAME_MAX;
  /** The publisher. */
  confirms!: Confirms;

  readonly #mandatory: Mandatory;

  constructor(mandatory: Mandatory) {
    this.#mandatory = mandatory;
  }

  /** The size of a body has no limit: it is split into frames. */
  check(envelope: Parameters<typeof checkEnvelope>[0]): number {
    checkEnvelope(envelope, this.frameMax);
    return Infinity;
  }

  async open(connection: AmqpConnection, events: PortEvents): Promise<ChannelPort> {
    const channel: Channel = await connection.open({
      onConfirm: (tag, multiple, taken) =>
        events.onConfirm(tag, multiple, taken, taken ? "" : connection.blocked ?? ""),
      onReturn: (code, text, exchange, routingKey, content) => {
        const reason = exchange === ""
          ? `queue '${routingKey}' does not exist (${text})`
          : `no queue is bound to exchange '${exchange}' with the routing key '${routingKey}' (${text})`;
        events.onReturn(
          code,
          reason,
          (run, index, exact) => isReturned(run, index, exchange, routingKey, content, exact),
        );
      },
      onBatchEnd: () => events.onBatchEnd(),
    });
    await channel.call("confirm.select", {}, "confirm.select-ok");
    channel.closed.then((error) => {
      // The broker would close the channel again for the same reason.
      if (error instanceof AmqpError && endsLink(error)) events.onFailure(error);
      else if (error !== undefined) connection.abort(error);
    });
    // mqcat's own broker confirms when the data is safe, which may be late by intention.
    if (!connection.peeks) watchConfirms(connection, channel, this.confirms);
    connection.events.onWritable = () => events.onWritable();
    this.frameMax = connection.encoder.frameMax;
    return new ChannelPort(connection, channel, this.#mandatory);
  }
}

/** Publishes to AMQP brokers with confirms: see `lib/link`. */
export class Publisher extends SharedPublisher<BrokerAddress, AmqpConnection> {
  readonly #publishing: Confirming;

  constructor(brokers: readonly BrokerAddress[], options: PublisherOptions = {}) {
    const publishing = new Confirming(options.mandatory ?? true);
    super(AMQP, publishing, brokers, options);
    this.#publishing = publishing;
    publishing.confirms = this;
  }

  /** The largest frame of the current or last connection, in bytes. */
  get frameMax(): number {
    return this.#publishing.frameMax;
  }
}
