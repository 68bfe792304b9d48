/** Reply on STOMP servers. */
import { formatReplyTo } from "../../crossing/stomp/destination.ts";
import type { LinkOptions } from "../../link/options.ts";
import { StompPublisher } from "../../stomp/client/publisher.ts";
import type { StompAddress } from "../../stomp/client/url.ts";
import { Replier, type ReplierEvents } from "../replier.ts";
import { pull } from "./receive.ts";

/** Options of `reply`. */
export interface ReplyOptions extends LinkOptions, ReplierEvents {
  /** Whether a missing queue is created, durable. Default: false */
  readonly declare?: boolean | undefined;
  /** The maximum number of unacknowledged requests, 1 to 65535. Default: 1 */
  readonly prefetch?: number | undefined;
}

/**
 * Receives the requests of the queue of an address. The reply goes to the destination in `reply-to`, with the header
 * `correlation-id`. Servers do not report that nobody receives it.
 *
 * @throws {EndpointError} the address names no queue
 */
export function reply(address: StompAddress, options: ReplyOptions = {}): Replier {
  return new Replier((onDelivery) => ({
    inlet: pull(address, { ...options, prefetch: options.prefetch ?? 1, onDelivery }),
    outlet: new StompPublisher(address.servers, options),
    route: (replyTo) => ({ exchange: "", routingKey: formatReplyTo(replyTo) }),
    isReceived: () => undefined,
  }), options);
}
