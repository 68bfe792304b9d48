/** Subscribe and pull on STOMP servers. */
import crypto from "node:crypto";
import { destinationFor } from "../../crossing/stomp/destination.ts";
import type { LinkOptions } from "../../link/options.ts";
import { StompSubscriber } from "../../stomp/client/subscriber.ts";
import type { StompAddress } from "../../stomp/client/url.ts";
import type { Inlet, InletEvents } from "../contract.ts";
import { queueOf, subscribedTo } from "./destinations.ts";

/** Options of `subscribe`. */
export interface SubscribeOptions extends LinkOptions, InletEvents {
  /** Patterns for topics and topic exchanges, keys for direct exchanges. Default: those of the address, or all messages */
  readonly topics?: readonly string[] | undefined;
}

/** Options of `pull`. */
export interface PullOptions extends LinkOptions, InletEvents {
  /** Whether a missing queue is created, durable. Default: false */
  readonly declare?: boolean | undefined;
  /** The maximum number of unacknowledged messages. Default: 1000 */
  readonly prefetch?: number | undefined;
}

/**
 * Receives copies of the messages of topics or of an exchange. They come from a queue of its own, which the server
 * deletes with the connection: no other receiver is affected. A message that several topics match arrives once. Messages
 * that are published between two connections are lost.
 *
 * @throws {EndpointError} the address names a queue, or a topic in addition to `topics`
 */
export function subscribe({ servers, destination }: StompAddress, options: SubscribeOptions): Inlet {
  const destinations = subscribedTo(destination, options.topics ?? []);
  return new StompSubscriber(servers, destinations, {
    ...options,
    acknowledges: false,
    headers: () => ({
      exclusive: "true",
      "auto-delete": "true",
      // The subscriptions of a connection share one queue. A lost connection may hold the previous one for a while.
      "x-queue-name": `stomp-subscription-mqcat-${crypto.randomBytes(9).toString("base64url")}`,
    }),
  });
}

/**
 * Consumes the queue of an address, with acknowledgements.
 *
 * @throws {EndpointError} the address names no queue
 */
export function pull({ servers, destination }: StompAddress, options: PullOptions): Inlet {
  const from = destinationFor("", queueOf(destination), options.declare ?? false);
  return new StompSubscriber(servers, [from], { ...options, acknowledges: true });
}
