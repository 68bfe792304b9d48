/** Request on AMQP brokers. */
import { AmqpError } from "../../amqp/amqp_error.ts";
import type { AmqpConnection } from "../../amqp/client/connection.ts";
import type { Channel } from "../../amqp/client/channel.ts";
import { watchConfirms } from "../../amqp/client/confirm_watch.ts";
import { checkEnvelope } from "../../amqp/client/envelope.ts";
import { endsLink } from "../../amqp/client/errors.ts";
import { AMQP, type LinkOptions } from "../../amqp/client/link.ts";
import { type ClusterOptions, nearLeader } from "../../amqp/client/near_leader.ts";
import type { PublisherOptions } from "../../amqp/client/publisher.ts";
import { ChannelPort } from "../../amqp/client/publisher_port.ts";
import { findQueue } from "../../amqp/client/queues.ts";
import type { AmqpAddress, BrokerAddress } from "../../amqp/client/url.ts";
import type { Envelope } from "../contract.ts";
import type { Rejection } from "../../link/publisher_options.ts";
import { PortLink, type RequestProtocol } from "../request_link.ts";
import { Requester, type RequesterOptions } from "../requester.ts";
import { type Prepare, queueOf, requireQueue } from "./send.ts";
import { keeping } from "./why_away.ts";

/**
 * The pseudo-queue of RabbitMQ's direct reply-to: a consumer of it receives the replies to the requests of its channel.
 * Nothing is declared for it.
 */
export const DIRECT_REPLY = "amq.rabbitmq.reply-to";

/** The largest frame that the client offers, in bytes: for requests before the first connection. */
const FRAME_MAX = 131072;

/** The interval of checks whether the queue still exists: the requests in a deleted queue never have a reply. In milliseconds. */
const CHECK_MS = 5000;

/** Options of `request`. */
export interface RequestOptions extends LinkOptions, ClusterOptions, RequesterOptions {
  /** Prepares each connection before the first request. Default: the queue of the address must exist. */
  readonly prepare?: Prepare | undefined;
}

/**
 * Sends requests to the queue of an address, or to an exchange. The envelopes name it. Requests are mandatory and
 * confirmed: one that no queue receives, or that the broker refuses, is a permanent failure, unless the queue is unavailable.
 *
 * @throws {EndpointError} the address has no name, and there is no `prepare`
 */
export function request(address: AmqpAddress, options: RequestOptions): Requester {
  const { brokers, name } = address;
  const { prepare = requireQueue(queueOf(address), false) } = options;
  const { reconsider } = keeping<PublisherOptions & ClusterOptions>(brokers, { http: options.http });
  const requests = directReplies(prepare, name, reconsider!);
  const link = name === undefined ? options : nearLeader(brokers, name, options);
  return new Requester((events) => new PortLink(requests, brokers, link, events), options);
}

/**
 * Requests whose replies are consumed on the channel that publishes the requests.
 *
 * @param queue the queue of the requests, unless they go to an exchange
 * @param reconsider returns why requests were not delivered, if that is not final
 */
function directReplies(
  prepare: Prepare,
  queue: string | undefined,
  reconsider: NonNullable<PublisherOptions["reconsider"]>,
): RequestProtocol<BrokerAddress, AmqpConnection> {
  let frameMax = FRAME_MAX;
  return {
    protocol: AMQP,
    replyTo: DIRECT_REPLY,
    async open(connection, events) {
      await prepare(connection);
      let isAsking = false;
      /** The last confirmed tag. */
      let confirmed = 0;
      let port: ChannelPort | undefined;
      /** Reports a request that was not delivered, or connects again if its queue is away: that waits for the queue. */
      const look = async (
        outcome: Rejection["outcome"],
        envelope: Envelope | undefined,
        report: () => void,
      ) => {
        if (isAsking) return;
        isAsking = true;
        try {
          const away = await reconsider(connection, { outcome, envelope });
          if (away === undefined) report();
          else connection.abort(away);
        } catch (error) {
          connection.abort(error as Error);
        }
      };
      const channel = await connection.open({
        onDelivery: (delivery) => events.onDelivery(delivery),
        onBatchEnd: () => events.onBatchEnd(),
        onReturn: (code, text, exchange, routingKey) => {
          const reason = unroutable(exchange, routingKey, text);
          const envelope = { exchange, routingKey, properties: NONE };
          look("returned", envelope, () => events.onReturn(code, reason, () => false));
        },
        onConfirm: (tag, multiple, taken) => {
          confirmed = Math.max(confirmed, tag);
          if (confirmed === port?.lastTag) port.bytes = 0;
          const report = () => events.onConfirm(tag, multiple, taken, connection.blocked);
          if (taken) return report();
          look(
            "refused",
            queue === undefined ? undefined : { exchange: "", routingKey: queue, properties: NONE },
            report,
          );
        },
      });
      channel.closed.then((error) => {
        if (error instanceof AmqpError && endsLink(error)) events.onFailure(error);
        else if (error !== undefined) connection.abort(error);
      });
      if (queue !== undefined) watchQueue(connection, channel, queue, events.onFailure);
      // The broker knows where replies go only after this consumer exists, which must not acknowledge.
      await channel.call("basic.consume", { queue: DIRECT_REPLY, noAck: true }, "basic.consume-ok");
      await channel.call("confirm.select", {}, "confirm.select-ok");
      frameMax = connection.encoder.frameMax;
      connection.events.onWritable = () => events.onWritable();
      const sent = port = new ChannelPort(connection, channel, true);
      if (!connection.peeks) {
        watchConfirms(connection, channel, {
          get pending() {
            return sent.lastTag - confirmed;
          },
          get pendingBytes() {
            return sent.bytes;
          },
          get acknowledged() {
            return confirmed;
          },
          refused: 0,
        });
      }
      return sent;
    },
    check: (envelope: Envelope) => checkEnvelope(envelope, frameMax),
    undelivered: (reason, isReturned) =>
      isReturned ? new AmqpError(404, reason) : new AmqpError(
        406,
        `the broker refused a request: ${reason || "the queue is full, or cannot be written"}`,
      ),
  };
}

/** Reports that a queue was deleted, until the channel is closed. */
function watchQueue(
  connection: AmqpConnection,
  channel: Channel,
  queue: string,
  onFailure: (error: Error) => void,
): void {
  const check = async () => {
    try {
      if (await findQueue(connection, queue) !== undefined) return;
      onFailure(new AmqpError(404, `queue '${queue}' was deleted`));
    } catch {
      // It is away, or the connection is lost.
    }
  };
  const timer = setInterval(check, CHECK_MS);
  channel.closed.then(() => clearInterval(timer));
}

const NONE = new Uint8Array(0);

function unroutable(exchange: string, routingKey: string, text: string): string {
  const missing = exchange === ""
    ? `there is no queue '${routingKey}'`
    : `no queue is bound to exchange '${exchange}' with the routing key '${routingKey}'`;
  return `${missing}: a request came back (${text})`;
}
