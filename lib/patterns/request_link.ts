import { Link } from "../link/link.ts";
import type { Envelope } from "../link/message.ts";
import type { LinkOptions } from "../link/options.ts";
import type { Port, PortEvents } from "../link/port.ts";
import type { Address, Connection, Protocol } from "../link/protocol.ts";
import type { Signal } from "../transport/waiting.ts";
import type { RequestEvents, RequestLink, RequestPort } from "./requester.ts";

/** A connection that can stop reading. */
interface PausableConnection extends Connection {
  pause(): void;
  resume(): void;
}

/** How a protocol sends requests and receives their replies on one connection. */
export interface RequestProtocol<A extends Address, C extends PausableConnection> {
  readonly protocol: Protocol<A, C>;
  /** The address for replies, for the property `reply_to`. */
  readonly replyTo: string;
  /** Prepares a new connection: from now on it receives replies, which go to `onDelivery` of the events. */
  open(connection: C, events: PortEvents & Pick<RequestEvents, "onDelivery">): Promise<Port>;
  /** @throws {RangeError | LimitError} a message with this envelope cannot be sent */
  check(envelope: Envelope): unknown;
  /** The error for a request that was not delivered. @param isReturned whether nothing receives it; else it was refused */
  undelivered(reason: string, isReturned: boolean): Error;
}

/** The link of a requester: a request that nothing receives, or that is refused, is a permanent failure. */
export class PortLink<A extends Address, C extends PausableConnection> implements RequestLink {
  readonly replyTo: string;

  readonly #requests: RequestProtocol<A, C>;
  readonly #events: RequestEvents;
  readonly #link: Link<A, C>;

  constructor(
    requests: RequestProtocol<A, C>,
    addresses: readonly A[],
    options: LinkOptions,
    events: RequestEvents,
  ) {
    this.replyTo = requests.replyTo;
    this.#requests = requests;
    this.#events = events;
    this.#link = new Link(requests.protocol, addresses, options, {
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

  get broker(): string {
    return this.#link.broker;
  }

  get failure(): Error | undefined {
    return this.#link.failure;
  }

  check(envelope: Envelope): void {
    this.#requests.check(envelope);
  }

  close(limit?: number): Promise<void> {
    return this.#link.close(limit);
  }

  async #onUp(connection: C): Promise<void> {
    const events = this.#events;
    const fail = (reason: string, isReturned: boolean) =>
      this.#link.fail(this.#requests.undelivered(reason, isReturned));
    const port = await this.#requests.open(connection, {
      onDelivery: (delivery) => events.onDelivery(delivery),
      onConfirm: (_tag, _multiple, taken, reason = "") => taken || fail(reason, false),
      onReturn: (_code, reason) => fail(reason, true),
      onBatchEnd: () => {
        events.onBatchEnd();
        events.onWritable(); // Confirms make room at ports with a limit.
      },
      onWritable: () => events.onWritable(),
      onFailure: (error) => this.#link.fail(error),
    });
    events.onUp(new ConnectedPort(connection, port));
  }
}

/** Numbers the requests of one connection. */
class ConnectedPort implements RequestPort {
  readonly #connection: PausableConnection;
  readonly #port: Port;
  #tag = 0;

  constructor(connection: PausableConnection, port: Port) {
    this.#connection = connection;
    this.#port = port;
  }

  get full(): boolean {
    return this.#port.full;
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
