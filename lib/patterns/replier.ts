import { type BasicProperties, decodeProperties, encodeProperties } from "../amqp/properties.ts";
import { Signal } from "../transport/waiting.ts";
import type { Bodies, Delivery, Envelope, Inlet, Outcome, Outlet, Receipt } from "./contract.ts";

/** The inlet is paused while this number of requests wait: not every system limits unacknowledged messages. */
const MAX_WAITING = 1000;

/** A request, which stays valid until it is settled. */
export interface Request {
  /** A copy of the message. Its `deliveryTag` is that of `receipt`. */
  readonly delivery: Delivery;
  /** Its properties and headers. */
  readonly properties: BasicProperties;
  /** Where the reply goes; undefined if the requester expects none. */
  readonly replyTo: string | undefined;
  /** Identifies the request at its source. */
  readonly receipt: Receipt;
}

/** The two ends of a replier, and where replies go. */
export interface ReplyLink {
  /** Where requests arrive, made with the given callbacks. */
  readonly inlet: Inlet;
  /** Where replies go out. */
  readonly outlet: Outlet;
  /** The destination for a property `reply_to`. */
  route(replyTo: string): Pick<Envelope, "exchange" | "routingKey">;
  /**
   * Whether a client receives replies at an address, where the outlet cannot know it: it does not report them as
   * returned. Undefined: it can.
   */
  isReceived(replyTo: string): Promise<boolean> | undefined;
}

/** Makes the link of a replier. */
export type OpenReplies = (onDelivery: (delivery: Delivery) => void) => ReplyLink;

/** Callbacks of a replier. */
export interface ReplierEvents {
  /** A reply was confirmed. @param size the length of its body, in bytes */
  onReplied?(size: number): void;
  /** No client receives the reply: the requester is gone, or the broker refused the reply. The request is acknowledged. */
  onUndeliverable?(reason: string): void;
}

/**
 * Receives requests and sends their replies. A request is acknowledged after its reply is confirmed, so a request is
 * delivered again if this process ends before: each is answered at least once.
 */
export class Replier {
  readonly #link: ReplyLink;
  readonly #events: ReplierEvents;
  readonly #changed = new Signal();
  #waiting: Request[] = [];
  #isPaused = false;
  #isEnding = false;
  #isClosed = false;
  /** The number of replies that are not confirmed. */
  #pending = 0;

  constructor(open: OpenReplies, events: ReplierEvents = {}) {
    this.#events = events;
    this.#link = open((delivery) => this.#onDelivery(delivery));
    this.#link.outlet.onSettled = () => this.#link.inlet.flush();
  }

  /**
   * Connects for the first time.
   *
   * @throws the errors of the inlet and of the outlet
   */
  async start(): Promise<void> {
    await this.#link.outlet.start();
    await this.#link.inlet.start();
    this.#watch(this.#link.inlet);
    this.#watch(this.#link.outlet);
  }

  /** The permanent failure. */
  get failure(): Error | undefined {
    return this.#link.inlet.failure ?? this.#link.outlet.failure;
  }

  /** The host that requests come from, or came from last, at systems with a broker. */
  get broker(): string | undefined {
    return this.#link.inlet.broker;
  }

  /** The number of replies that are not confirmed. */
  get pending(): number {
    return this.#pending;
  }

  /** The next request; undefined after `endReceiving` or a failure. Requests of a lost connection come again. */
  async receive(): Promise<Request | undefined> {
    for (;;) {
      if (this.#isEnding || this.failure !== undefined) return undefined;
      const request = this.#waiting.shift();
      if (this.#isPaused && this.#waiting.length <= MAX_WAITING / 2) {
        this.#isPaused = false;
        this.#link.inlet.resume();
      }
      if (request === undefined) await this.#changed.wait();
      else if (this.isCurrent(request)) return request;
    }
  }

  /** Ends all calls of `receive`. Waiting requests return to their source when the replier is closed. */
  endReceiving(): void {
    this.#isEnding = true;
    this.#changed.fire();
  }

  /** Whether a request can still be settled: if its connection is lost, it is delivered again. */
  isCurrent({ receipt }: Request): boolean {
    return receipt.generation === this.#link.inlet.generation;
  }

  /**
   * Sends the reply to a request, and acknowledges the request when the reply is confirmed. Does nothing if the
   * connection of the request is lost.
   *
   * @param body must not change
   * @param properties of the reply; the correlation id is added
   * @throws {RangeError | LimitError} the reply cannot be encoded
   * @throws {Error} the request has no address for a reply
   */
  reply(request: Request, body: Uint8Array, properties: BasicProperties = {}): void {
    const { replyTo } = request;
    if (replyTo === undefined) throw new Error("The request has no address for a reply");
    if (!this.isCurrent(request)) return;
    const { correlationId } = request.properties;
    const own = { ...properties };
    if (correlationId !== undefined) own.correlationId = correlationId;
    const envelope = { ...this.#link.route(replyTo), properties: encodeProperties(own) };
    const bodies = { bytes: body, starts: [0], ends: [body.length] };
    this.#pending++;
    const received = this.#link.isReceived(replyTo);
    if (received === undefined) this.#publish(request, bodies, envelope);
    else {
      received.then((received) => {
        if (received) this.#publish(request, bodies, envelope);
        else this.#finish(request, body.length, `no client receives replies at '${replyTo}' any more`);
      });
    }
  }

  /** Acknowledges a request without a reply. */
  acknowledge({ receipt }: Request): void {
    this.#link.inlet.ack(receipt, false);
    this.#link.inlet.flush();
  }

  /** Rejects a request. Without `requeue` the source dead-letters or discards it. */
  reject({ receipt }: Request, requeue: boolean): void {
    this.#link.inlet.nack(receipt, requeue);
    this.#link.inlet.flush();
  }

  /** Waits until all replies are confirmed, for at most `limit` milliseconds, or until a failure. */
  async settled(limit: number): Promise<void> {
    const end = performance.now() + limit;
    while (this.#pending > 0 && this.failure === undefined) {
      const left = end - performance.now();
      if (left <= 0) return;
      await this.#changed.wait(left);
    }
  }

  /** Ends the deliveries. @param limit the time limit for the reply of the other side, in milliseconds */
  cancel(limit?: number): Promise<void> {
    return this.#link.inlet.cancel(limit);
  }

  /**
   * Closes the connections. Requests that are not settled return to their source.
   *
   * @param limit the time limit for the reply of the other side, in milliseconds
   */
  async close(limit?: number): Promise<void> {
    this.endReceiving();
    this.#isClosed = true;
    await Promise.all([this.#link.inlet.close(limit), this.#link.outlet.close(limit)]);
  }

  #onDelivery(delivery: Delivery): void {
    const { properties, propertiesEnd, body, bodyStart, bodyEnd } = delivery.content;
    const content = {
      properties: properties.slice(0, propertiesEnd),
      propertiesEnd,
      body: body.slice(bodyStart, bodyEnd),
      bodyStart: 0,
      bodyEnd: bodyEnd - bodyStart,
    };
    const decoded = propertiesOf(content.properties);
    this.#waiting.push({
      delivery: { ...delivery, content },
      properties: decoded,
      replyTo: decoded.replyTo || undefined,
      receipt: { generation: this.#link.inlet.generation, tag: delivery.deliveryTag },
    });
    if (!this.#isPaused && this.#waiting.length >= MAX_WAITING) {
      this.#isPaused = true;
      this.#link.inlet.pause();
    }
    this.#changed.fire();
  }

  async #publish(request: Request, bodies: Bodies, envelope: Envelope): Promise<void> {
    const { outlet } = this.#link;
    const size = bodies.bytes.length;
    const outcome = new ReplyOutcome((reason) => this.#finish(request, size, reason));
    try {
      while (outlet.publish(bodies, 0, 1, envelope, outcome) === 0) {
        if (this.failure !== undefined) return;
        await outlet.changed.wait();
      }
    } catch (error) {
      this.#finish(request, size, (error as Error).message);
    }
  }

  /** @param undeliverable why the reply was not delivered; undefined if it was confirmed */
  #finish(request: Request, size: number, undeliverable: string | undefined): void {
    this.#pending--;
    this.#link.inlet.ack(request.receipt, false);
    if (undeliverable === undefined) this.#events.onReplied?.(size);
    else {
      this.#link.inlet.flush();
      this.#events.onUndeliverable?.(undeliverable);
    }
    this.#changed.fire();
  }

  /** Wakes all waits when an end has failed or reconnected. */
  async #watch(end: Inlet | Outlet): Promise<void> {
    while (!this.#isClosed && end.failure === undefined) {
      await end.changed.wait();
      this.#changed.fire();
    }
  }
}

class ReplyOutcome implements Outcome {
  readonly #finish: (undeliverable: string | undefined) => void;
  #reason: string | undefined;

  constructor(finish: (undeliverable: string | undefined) => void) {
    this.#finish = finish;
  }

  onReturn(_code: number, reason: string): void {
    this.#reason = reason;
  }

  onRefused(error: Error): void {
    this.#reason = error.message;
  }

  onSettled(acknowledged: boolean): void {
    this.#finish(acknowledged ? this.#reason : this.#reason ?? "the broker refused the reply");
  }
}

/** The properties of a message; none if they cannot be decoded. */
function propertiesOf(encoded: Uint8Array): BasicProperties {
  try {
    return decodeProperties(encoded);
  } catch {
    return {};
  }
}
