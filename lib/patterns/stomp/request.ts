/** Request on STOMP servers. */
import { Link } from "../../link/link.ts";
import type { LinkOptions } from "../../link/options.ts";
import type { StompConnection } from "../../stomp/client/connection.ts";
import { STOMP } from "../../stomp/client/protocol.ts";
import type { SendPort } from "../../stomp/client/send_port.ts";
import { Sending } from "../../stomp/client/sending.ts";
import type { StompAddress, StompServer } from "../../stomp/client/url.ts";
import { StompError } from "../../stomp/stomp_error.ts";
import type { Signal } from "../../transport/waiting.ts";
import type { Envelope } from "../contract.ts";
import {
  Requester,
  type RequesterOptions,
  type RequestEvents,
  type RequestLink,
  type RequestPort,
} from "../requester.ts";
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
  return new Requester((events) => new StompRequestLink(servers, queue, options, events), options);
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

class StompRequestLink implements RequestLink {
  /** The server replaces it by the name of a queue for the connection. */
  readonly replyTo = "/temp-queue/mqcat";

  readonly #events: RequestEvents;
  readonly #sending: Sending;
  readonly #link: Link<StompServer, StompConnection>;

  constructor(
    servers: readonly StompServer[],
    queue: string | undefined,
    options: LinkOptions,
    events: RequestEvents,
  ) {
    this.#events = events;
    this.#sending = new Sending({
      ...options,
      queue,
      // The correlation id is another one in each request.
      changes: true,
      onReply: (delivery) => events.onDelivery(delivery),
    });
    this.#link = new Link(STOMP, servers, options, {
      onUp: (connection) => this.#onUp(connection),
      onDown: () => events.onDown(),
    });
  }

  start(): Promise<void> {
    return this.#link.start();
  }

  get changed(): Signal {
    return this.#link.changed;
  }

  get failure(): Error | undefined {
    return this.#link.failure;
  }

  check(envelope: Envelope): void {
    this.#sending.check(envelope);
  }

  close(limit?: number): Promise<void> {
    return this.#link.close(limit);
  }

  async #onUp(connection: StompConnection): Promise<void> {
    const port = await this.#sending.open(connection, {
      onConfirm: (_tag, _multiple, taken, reason) => {
        if (!taken) this.#link.fail(new StompError("refused", `the server refused a request: ${reason}`));
      },
      onReturn: () => {}, // STOMP returns no messages.
      onBatchEnd: () => this.#events.onBatchEnd(),
      onWritable: () => this.#events.onWritable(),
      onFailure: (error) => this.#link.fail(error),
    });
    this.#events.onUp(new StompRequestPort(connection, port));
  }
}

/** Sends on the connection that receives the replies. */
class StompRequestPort implements RequestPort {
  readonly #connection: StompConnection;
  readonly #port: SendPort;
  #tag = 0;

  constructor(connection: StompConnection, port: SendPort) {
    this.#connection = connection;
    this.#port = port;
  }

  get full(): boolean {
    return this.#connection.full;
  }

  send(envelope: Envelope, bytes: Uint8Array, start: number, end: number): void {
    this.#port.publish(++this.#tag, envelope, bytes, start, end);
  }

  flush(): void {
    this.#port.flush();
  }

  pause(): void {
    this.#connection.pause();
  }

  resume(): void {
    this.#connection.resume();
  }
}
