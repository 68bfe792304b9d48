/** Request on AMQP brokers. */
import { AmqpError } from "../../amqp/amqp_error.ts";
import type { AmqpConnection } from "../../amqp/client/connection.ts";
import { checkEnvelope } from "../../amqp/client/envelope.ts";
import { endsLink } from "../../amqp/client/errors.ts";
import { AMQP, type LinkOptions } from "../../amqp/client/link.ts";
import { type ClusterOptions, nearLeader } from "../../amqp/client/near_leader.ts";
import { ChannelPort } from "../../amqp/client/publisher_port.ts";
import type { AmqpAddress, BrokerAddress } from "../../amqp/client/url.ts";
import type { Envelope } from "../contract.ts";
import { PortLink, type RequestProtocol } from "../request_link.ts";
import { Requester, type RequesterOptions } from "../requester.ts";
import { type Prepare, queueOf, requireQueue } from "./send.ts";

/**
 * The pseudo-queue of RabbitMQ's direct reply-to: a consumer of it receives the replies to the requests of its channel.
 * Nothing is declared for it.
 */
export const DIRECT_REPLY = "amq.rabbitmq.reply-to";

/** The largest frame that the client offers, in bytes: for requests before the first connection. */
const FRAME_MAX = 131072;

/** Options of `request`. */
export interface RequestOptions extends LinkOptions, ClusterOptions, RequesterOptions {
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
  const { brokers, name } = address;
  const { prepare = requireQueue(queueOf(address), false) } = options;
  const requests = directReplies(prepare);
  const link = name === undefined ? options : nearLeader(brokers, name, options);
  return new Requester((events) => new PortLink(requests, brokers, link, events), options);
}

/** Requests whose replies are consumed on the channel that publishes the requests. */
function directReplies(prepare: Prepare): RequestProtocol<BrokerAddress, AmqpConnection> {
  let frameMax = FRAME_MAX;
  return {
    protocol: AMQP,
    replyTo: DIRECT_REPLY,
    async open(connection, events) {
      await prepare(connection);
      const channel = await connection.open({
        onDelivery: (delivery) => events.onDelivery(delivery),
        onBatchEnd: () => events.onBatchEnd(),
        onReturn: (code, text, exchange, routingKey) =>
          events.onReturn(code, unroutable(exchange, routingKey, text), () => false),
        onConfirm: (tag, multiple, taken) => events.onConfirm(tag, multiple, taken, connection.blocked),
      });
      channel.closed.then((error) => {
        if (error instanceof AmqpError && endsLink(error)) events.onFailure(error);
        else if (error !== undefined) connection.abort(error);
      });
      // The broker knows where replies go only after this consumer exists, which must not acknowledge.
      await channel.call("basic.consume", { queue: DIRECT_REPLY, noAck: true }, "basic.consume-ok");
      await channel.call("confirm.select", {}, "confirm.select-ok");
      frameMax = connection.encoder.frameMax;
      connection.events.onWritable = () => events.onWritable();
      return new ChannelPort(connection, channel, true);
    },
    check: (envelope: Envelope) => checkEnvelope(envelope, frameMax),
    undelivered: (reason, isReturned) =>
      isReturned ? new AmqpError(404, reason) : new AmqpError(
        406,
        `the broker refused a request: ${reason || "the queue is full, or cannot be written"}`,
      ),
  };
}

function unroutable(exchange: string, routingKey: string, text: string): string {
  const missing = exchange === ""
    ? `there is no queue '${routingKey}'`
    : `no queue is bound to exchange '${exchange}' with the routing key '${routingKey}'`;
  return `${missing}: a request came back (${text})`;
}
