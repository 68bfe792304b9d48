import { Publisher, type PublisherOptions } from "../../link/publisher.ts";
import type { StompConnection } from "./connection.ts";
import { STOMP } from "./protocol.ts";
import { Sending, type SendingOptions } from "./sending.ts";
import type { StompServer } from "./url.ts";

/** Options of a publisher. */
export type StompPublisherOptions = PublisherOptions<StompConnection> & SendingOptions;

/**
 * Sends messages with receipts: see `lib/link`. A receipt is a confirm. The address of an envelope becomes a destination
 * by `destinationFor`.
 */
export class StompPublisher extends Publisher<StompServer, StompConnection> {
  constructor(servers: readonly StompServer[], options: StompPublisherOptions = {}) {
    super(STOMP, new Sending(options), servers, options);
  }
}
