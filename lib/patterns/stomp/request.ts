/** Request on STOMP servers. */
import type { LinkOptions } from "../../link/options.ts";
import type { StompConnection } from "../../stomp/client/connection.ts";
import { STOMP } from "../../stomp/client/protocol.ts";
import { StompPublishing } from "../../stomp/client/publisher.ts";
import type { StompAddress, StompServer } from "../../stomp/client/url.ts";
import { StompError } from "../../stomp/stomp_error.ts";
import type { Delivery } from "../contract.ts";
import { PortLink, type RequestProtocol } from "../request_link.ts";
import { Requester, type RequesterOptions } from "../requester.ts";
import { queueOf } from "./destinations.ts";

/** The server declares a queue for the connection that sends this as `reply-to`, and delivers from it. */
const REPLIES = "/temp-queue/mqcat";

/** Options of `request`. */
export type RequestOptions = LinkOptions & RequesterOptions;

/**
 * Sends requests to the queue of an address, with receipts. The envelopes name it. A queue that is missing when a
 * connection is made, and a request that the server refuses, are permanent failures.
 *
 * @throws {EndpointError} the address names no queue
 */
export function request(address: StompAddress, options: RequestOptions): Requester {
  const queue = queueOf(address.destination);
  return new Requester(
    (events) => new PortLink(temporaryQueue(queue, options), address.servers, options, events),
    options,
  );
}

/** Requests whose replies come from a temporary queue of the same connection. */
function temporaryQueue(
  queue: string,
  options: RequestOptions,
): RequestProtocol<StompServer, StompConnection> {
  let deliver: (delivery: Delivery) => void = () => {};
  const publishing = new StompPublishing({
    ...options,
    queue: queue.startsWith("/") ? undefined : queue,
    onReply: (delivery) => deliver(delivery),
  });
  return {
    protocol: STOMP,
    replyTo: REPLIES,
    async open(connection, events) {
      deliver = events.onDelivery;
      return await publishing.open(connection, events);
    },
    check: (envelope) => publishing.check(envelope),
    undelivered: (reason) => new StompError("refused", `the server refused a request: ${reason}`),
  };
}
