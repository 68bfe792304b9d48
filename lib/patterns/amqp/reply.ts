import type { AmqpConnection } from "../../amqp/client/connection.ts";
import { Consumer } from "../../amqp/client/consumer.ts";
import type { LinkOptions } from "../../amqp/client/link.ts";
import { Publisher } from "../../amqp/client/publisher.ts";
import type { BrokerAddress } from "../../amqp/client/url.ts";
import type { OpenReplies } from "../replier.ts";
import { Presence } from "./presence.ts";
import { DIRECT_REPLY } from "./request.ts";

/** Options of the replies to the requests of a queue. */
export interface AmqpReplyOptions extends LinkOptions {
  /** The maximum number of requests that are not acknowledged, 1 to 65535. Default: 1 */
  readonly prefetch?: number | undefined;
  /** Prepares each connection for requests, for example checks that the queue exists. */
  readonly prepare?: (connection: AmqpConnection) => Promise<void>;
}

/** Returns a function that makes the link of a `Replier`, for the requests of a queue. */
export function amqpReplies(
  brokers: readonly BrokerAddress[],
  queue: string,
  { prepare, prefetch = 1, ...options }: AmqpReplyOptions = {},
): OpenReplies {
  return (onDelivery) => {
    const presence = new Presence();
    const inlet = new Consumer(brokers, queue, {
      ...options,
      prefetch,
      ...(prepare === undefined ? {} : { prepare }),
      onDelivery,
    });
    const outlet = new Publisher(brokers, {
      ...options,
      isMandatory: ({ routingKey }) => !isDirect(routingKey),
      prepare: async (connection) => await presence.use(connection),
    });
    return {
      inlet,
      outlet,
      route: (replyTo) => ({ exchange: "", routingKey: replyTo }),
      isReceived: (replyTo) => isDirect(replyTo) ? presence.ask(replyTo) : undefined,
    };
  };
}

/** Whether an address for a reply is a connected requester instead of a queue. */
function isDirect(replyTo: string): boolean {
  return replyTo.startsWith(`${DIRECT_REPLY}.`);
}
