/** Request on STOMP servers. */
import type { LinkOptions } from "../../link/options.ts";
import type { StompConnection } from "../../stomp/client/connection.ts";
import { STOMP } from "../../stomp/client/protocol.ts";
import { Sending } from "../../stomp/client/sending.ts";
import type { StompAddress, StompServer } from "../../stomp/client/url.ts";
import { StompError } from "../../stomp/stomp_error.ts";
import type { Delivery, Envelope } from "../contract.ts";
import { PortLink, type RequestProtocol } from "../request_link.ts";
import { Requester, type RequesterOptions } from "../requester.ts";
import { namedBy, publishedTo, queueOf } from "./destinations.ts";

/** Options of `request`. */
export type RequestOptions = LinkOptions & RequesterOptions;

/**
 * Sends requests to the queue, the topic or the exchange of an address. The envelopes name it: see `requestedAt`. A queue
 * must exist. The replies come from a queue that the server makes for the connection.
 *
 * @throws {EndpointError} the address names nothing
 */
export function request({ servers, destination }: StompAddress, options: RequestOptions): Requester {
  const { exchange, routingKey } = requestedAt(destination);
  const queue = exchange === "" && !routingKey.startsWith("/") ? routingKey : undefined;
  return new Requester(
    (events) => new PortLink(temporaryQueue(queue, options), servers, options, events),
    options,
  );
}

/**
 * Where requests go: a name is a queue.
 *
 * @throws {EndpointError} the destination names nothing
 */
export function requestedAt(destination: string): Pick<Envelope, "exchange" | "routingKey"> {
  const { kind } = namedBy(destination);
  return kind === "exchange" ? publishedTo(destination) : { exchange: "", routingKey: queueOf(destination) };
}

/** Requests whose replies come from a temporary queue of the same connection. */
function temporaryQueue(
  queue: string | undefined,
  options: RequestOptions,
): RequestProtocol<StompServer, StompConnection> {
  let deliver: (delivery: Delivery) => void = () => {};
  const sending = new Sending({
    ...options,
    queue,
    // The correlation id is another one in each request.
    changes: true,
    onReply: (delivery) => deliver(delivery),
  });
  return {
    protocol: STOMP,
    // The server replaces it by the name of a queue for the connection.
    replyTo: "/temp-queue/mqcat",
    open(connection, events) {
      deliver = events.onDelivery;
      return sending.open(connection, events);
    },
    check: (envelope) => sending.check(envelope),
    undelivered: (reason) => new StompError("refused", `the server refused a request: ${reason}`),
  };
}
