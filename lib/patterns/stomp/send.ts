/** Publish and push on STOMP servers. */
import type { LinkOptions } from "../../link/options.ts";
import { StompPublisher } from "../../stomp/client/publisher.ts";
import type { StompAddress } from "../../stomp/client/url.ts";
import type { Outlet } from "../contract.ts";
import { publishedTo, queueOf } from "./destinations.ts";

/** Options of `push`. */
export interface PushOptions extends LinkOptions {
  /** Whether a missing queue is created, durable. Default: false */
  readonly declare?: boolean | undefined;
}

/**
 * Publishes to the topic or exchange of an address, with receipts. The topic of an envelope is the routing key, and its
 * exchange that of `publishedTo`. Messages that reach no queue are accepted: servers do not report them.
 */
export function publish({ servers, destination }: StompAddress, options: LinkOptions = {}): Outlet {
  const { exchange, routingKey } = publishedTo(destination);
  const queue = exchange === "" && !routingKey.startsWith("/") ? routingKey : undefined;
  return new StompPublisher(servers, { ...options, queue });
}

/**
 * Puts messages into the queue of an address, with receipts. The envelopes name it: the exchange is empty, and the routing
 * key is `queueOf`. A queue that is missing when a connection is made is a permanent failure.
 *
 * @throws {EndpointError} the address names no queue
 */
export function push({ servers, destination }: StompAddress, options: PushOptions = {}): Outlet {
  const queue = queueOf(destination);
  const { declare: declares = false } = options;
  const isChecked = !declares && !queue.startsWith("/");
  return new StompPublisher(servers, { ...options, declares, queue: isChecked ? queue : undefined });
}
