import { PropertyScan } from "../../amqp/property_scan.ts";
import type { EncodedMessage } from "../../amqp/frames/frame_encoder.ts";
import { propertiesOfSend } from "../../crossing/stomp/headers.ts";
import type { StompFrame } from "../../stomp/frame.ts";
import { StompError } from "../../stomp/stomp_error.ts";
import type { Confirmable } from "../core/cycle.ts";
import { encodeMessage } from "../core/message.ts";
import type { SessionConnection, SessionHost } from "./contract.ts";
import type { Endpoints } from "./endpoints.ts";
import { notFor } from "./replies.ts";
import { TEMP_QUEUE } from "./subscription_headers.ts";
import type { Subscriptions } from "./subscriptions.ts";

/** A message with its address. */
export interface Outgoing {
  readonly exchange: string;
  readonly routingKey: string;
  readonly message: EncodedMessage;
  /** The header `receipt`; undefined if no receipt is asked for. */
  readonly receipt: string | undefined;
}

/** A receipt that is sent when everything up to a position of the journal is safe. */
interface PendingReceipt {
  /** Undefined: only `onSent` is called. */
  readonly id: string | undefined;
  readonly position: number;
  /** Called after the receipt was encoded. */
  readonly onSent: (() => void) | undefined;
}

/** The publishing part of a session: SEND, and receipts that mean that messages are safe. */
export class Sending implements Confirmable {
  awaitingConfirms = false;
  /** Whether a receipt was asked for: RabbitMQ's channel is then in confirm mode. */
  confirms = false;

  readonly #connection: SessionConnection;
  readonly #host: SessionHost;
  readonly #endpoints: Endpoints;
  readonly #subscriptions: Subscriptions;
  readonly #scan = new PropertyScan();
  #receipts: PendingReceipt[] = [];

  constructor(
    connection: SessionConnection,
    host: SessionHost,
    endpoints: Endpoints,
    subscriptions: Subscriptions,
  ) {
    this.#connection = connection;
    this.#host = host;
    this.#endpoints = endpoints;
    this.#subscriptions = subscriptions;
  }

  /**
   * Makes the message of a SEND frame, and declares its queue. Its body is part of the frame.
   *
   * @throws {StompError | AmqpError} it is refused
   */
  messageOf(frame: StompFrame): Outgoing {
    if (frame.get("message-id") !== undefined) {
      throw new StompError("Invalid header", "'message-id' is not allowed on 'SEND'.\n");
    }
    const destination = this.#endpoints.destinationOf(frame);
    if (destination.kind === "temp_queue") throw notFor(destination, "SEND");
    if (destination.kind === "queue") this.#endpoints.ensureQueue(frame, destination);
    const properties = propertiesOfSend(frame);
    const { replyTo } = properties;
    if (replyTo?.startsWith(TEMP_QUEUE) && replyTo.length > TEMP_QUEUE.length) {
      properties.replyTo = this.#subscriptions.replyQueue(replyTo.slice(TEMP_QUEUE.length));
    }
    const { exchange, key } = destination;
    const body = frame.body.subarray(frame.bodyStart, frame.bodyEnd);
    let message;
    try {
      message = encodeMessage({ exchange, routingKey: key }, properties, body);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new StompError("Invalid header", `${error.message}\n`, { cause: error });
    }
    return { exchange, routingKey: key, message, receipt: frame.get("receipt") };
  }

  /** Checks a message without publishing it. @throws {AmqpError} see `MessageIntake.check` */
  check({ exchange, routingKey, message }: Outgoing): void {
    const { access, user, vhost } = this.#connection;
    const scan = this.#scan;
    scan.read(message.head, message.propertiesStart, message.propertiesEnd);
    access.check("write", "exchange", exchange);
    access.checkTopic("write", vhost.exchanges, exchange, routingKey);
    this.#host.intake.check(vhost, user, exchange, scan);
  }

  /**
   * Publishes a message; its receipt is sent when it is safe.
   *
   * @throws {AmqpError} see `MessageIntake.check`
   * @throws {StompError} a queue refused the message, and a receipt was asked for
   */
  publish(outgoing: Outgoing): void {
    const { exchange, routingKey, message, receipt } = outgoing;
    const connection = this.#connection;
    const { access, stats, user, vhost } = connection;
    const { directReplies, intake } = this.#host;
    access.check("write", "exchange", exchange);
    access.checkTopic("write", vhost.exchanges, exchange, routingKey);
    stats.published++;
    vhost.stats.published++;
    if (receipt !== undefined) vhost.stats.confirmable++;
    if (exchange === "" && directReplies.has(routingKey, vhost)) {
      intake.sizes.add(message.bodyEnd - message.bodyStart);
      directReplies.deliver(routingKey, message);
      return this.#promiseConfirm(receipt, 0);
    }
    const scan = this.#scan;
    scan.read(message.head, message.propertiesStart, message.propertiesEnd);
    intake.publish(vhost, user, exchange, routingKey, message, scan, false, undefined, this.#connection);
    if (!intake.routed) {
      stats.unroutable++;
      vhost.stats.unroutable++;
    } else if (intake.blocked !== undefined) connection.hold();
    if (receipt !== undefined && !intake.taken) {
      throw new StompError("Message refused", `A queue of '${exchange}' and '${routingKey}' is full\n`);
    }
    this.#promiseConfirm(receipt, intake.position);
  }

  /** Promises the receipt of a message, if the client asked for one. */
  #promiseConfirm(receipt: string | undefined, position: number): void {
    if (receipt === undefined) return;
    const { stats, vhost } = this.#connection;
    stats.confirmed++;
    vhost.stats.confirmed++;
    this.promise(receipt, position);
  }

  /** Sends a receipt when everything up to a position of the journal is safe, after the receipts before it. */
  promise(id: string | undefined, position: number, onSent?: () => void): void {
    if (id !== undefined) this.confirms = true;
    this.#receipts.push({ id, position, onSent });
    this.#host.cycle.awaitConfirms(this);
  }

  /** Number of receipts that were not sent. */
  get unconfirmed(): number {
    return this.#receipts.length;
  }

  confirm(safePosition: number): boolean {
    const receipts = this.#receipts;
    let done = 0;
    while (done < receipts.length && receipts[done]!.position <= safePosition) {
      const { id, onSent } = receipts[done++]!;
      if (id !== undefined) this.#connection.encoder.frame("RECEIPT", [["receipt-id", id]]);
      onSent?.();
    }
    if (done > 0) {
      receipts.splice(0, done);
      this.#connection.touch();
    }
    return receipts.length > 0;
  }

  /** Forgets all receipts that are not sent. */
  release(): void {
    this.#receipts = [];
  }
}
