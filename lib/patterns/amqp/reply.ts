/** Reply on AMQP brokers. */
import { Consumer } from "../../amqp/client/consumer.ts";
import type { LinkOptions } from "../../amqp/client/link.ts";
import { type ClusterOptions, nearLeader } from "../../amqp/client/near_leader.ts";
import { Publisher } from "../../amqp/client/publisher.ts";
import type { AmqpAddress } from "../../amqp/client/url.ts";
import { type OpenReplies, Replier, type ReplierEvents } from "../replier.ts";
import { Presence } from "./presence.ts";
import { DIRECT_REPLY } from "./request.ts";
import { type Prepare, queueOf, requireQueue } from "./send.ts";

/** Options of `reply`. */
export interface ReplyOptions extends LinkOptions, ClusterOptions, ReplierEvents {
  /** Whether a missing queue is created, durable. Default: false */
  readonly declare?: boolean | undefined;
  /** The maximum number of unacknowledged requests, 1 to 65535. Default: 1 */
  readonly prefetch?: number | undefined;
  readonly prepare?: Prepare | undefined;
}

/**
 * Receives the requests of the queue of an address.
 *
 * @throws {EndpointError} the address has no name
 */
export function reply(address: AmqpAddress, options: ReplyOptions = {}): Replier {
  const { brokers } = address;
  const queue = queueOf(address);
  const { prepare = requireQueue(queue, options.declare ?? false), prefetch = 1 } = options;
  const presence = new Presence();
  const open: OpenReplies = (onDelivery) => ({
    inlet: new Consumer(brokers, queue, {
      ...nearLeader(brokers, queue, options),
      prefetch,
      prepare: async (connection) => {
        await prepare(connection);
      },
      onDelivery,
    }),
    outlet: new Publisher(brokers, {
      ...options,
      mandatory: ({ routingKey }) => !isDirect(routingKey),
      prepare: async (connection) => await presence.use(connection),
    }),
    route: (replyTo) => ({ exchange: "", routingKey: replyTo }),
    isReceived: (replyTo) => isDirect(replyTo) ? presence.ask(replyTo) : undefined,
  });
  return new Replier(open, options);
}

/** Whether an address for a reply is a connected requester instead of a queue. */
function isDirect(replyTo: string): boolean {
  return replyTo.startsWith(`${DIRECT_REPLY}.`);
}
