/** Reply on STOMP servers. */
import { destinationFor } from "../../crossing/stomp/destination.ts";
import type { LinkOptions } from "../../link/options.ts";
import { StompPublisher } from "../../stomp/client/publisher.ts";
import { StompSubscriber } from "../../stomp/client/subscriber.ts";
import type { StompAddress } from "../../stomp/client/url.ts";
import { type OpenReplies, Replier, type ReplierEvents } from "../replier.ts";
import { queueOf } from "./destinations.ts";

/** Options of `reply`. */
export interface ReplyOptions extends LinkOptions, ReplierEvents {
  /** Whether a missing queue is created, durable. Default: false */
  readonly declare?: boolean | undefined;
  /** The maximum number of unacknowledged requests, 1 to 65535. Default: 1 */
  readonly prefetch?: number | undefined;
}

/**
 * Receives the requests of the queue of an address. A reply that no client receives is lost without a notice: STOMP servers
 * do not report it.
 *
 * @throws {EndpointError} the address names no queue
 */
export function reply({ servers, destination }: StompAddress, options: ReplyOptions = {}): Replier {
  const { declare = false, prefetch = 1 } = options;
  const from = destinationFor("", queueOf(destination), declare);
  const open: OpenReplies = (onDelivery) => ({
    inlet: new StompSubscriber(servers, [from], { ...options, acknowledges: true, prefetch, onDelivery }),
    outlet: new StompPublisher(servers, options),
    // The name of a queue, or a destination.
    route: (replyTo) => ({ exchange: "", routingKey: replyTo }),
    isReceived: () => undefined,
  });
  return new Replier(open, options);
}
