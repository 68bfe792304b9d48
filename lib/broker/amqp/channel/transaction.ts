import { amqpError } from "../../../amqp/amqp_error.ts";
import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import { PropertyScan } from "../../../amqp/property_scan.ts";
import { copyMessage, type OwnMessage } from "../../core/message.ts";
import type { ServerChannel } from "./channel.ts";
import type { Outcome } from "./consuming.ts";

/** What one transaction may hold. */
const MAX_MESSAGES = 100_000;
const MAX_BYTES = 128 * 2 ** 20;

interface Publish {
  readonly exchange: string;
  readonly routingKey: string;
  readonly mandatory: boolean;
  readonly message: OwnMessage;
}

interface Settlement {
  readonly outcome: Outcome;
  readonly tag: number;
  readonly multiple: boolean;
}

/** Publishes and acknowledgements that wait for `tx.commit` (AMQP 0-9-1 reference, class tx). */
export class Transaction {
  readonly #channel: ServerChannel;
  #publishes: Publish[] = [];
  #settlements: Settlement[] = [];
  #bytes = 0;

  constructor(channel: ServerChannel) {
    this.#channel = channel;
  }

  /** @throws {AmqpError} 506: there is more in it than the broker keeps in memory */
  publish(exchange: string, routingKey: string, mandatory: boolean, message: EncodedMessage): void {
    this.#bytes += message.bodyEnd - message.bodyStart;
    if (this.#publishes.length === MAX_MESSAGES || this.#bytes > MAX_BYTES) throw tooLarge();
    this.#publishes.push({ exchange, routingKey, mandatory, message: copyMessage(message) });
  }

  /** @throws {AmqpError} 406: the tag is unknown; 506: as above */
  settle(outcome: Outcome, tag: number, multiple: boolean): void {
    this.#channel.consuming.check(tag, multiple);
    if (this.#settlements.length === MAX_MESSAGES) throw tooLarge();
    this.#settlements.push({ outcome, tag, multiple });
  }

  /**
   * Does all of it.
   *
   * @returns whether no queue refused a message
   * @throws {AmqpError} 404: an exchange is gone; 406: a delivery tag is unknown
   */
  commit(): boolean {
    const channel = this.#channel;
    const publishes = this.#publishes;
    const settlements = this.#settlements;
    this.rollback();
    const { publisher } = channel.connection.broker;
    const scan = new PropertyScan();
    let complete = true;
    for (const { exchange, routingKey, mandatory, message } of publishes) {
      scan.read(message.head, message.propertiesStart, message.propertiesEnd);
      complete = publisher.publish(channel, exchange, routingKey, mandatory, message, scan) && complete;
    }
    for (const { outcome, tag, multiple } of settlements) channel.consuming.apply(outcome, tag, multiple);
    return complete;
  }

  /** Forgets all of it; what was delivered stays unacknowledged. */
  rollback(): void {
    this.#publishes = [];
    this.#settlements = [];
    this.#bytes = 0;
  }
}

function tooLarge(): Error {
  return amqpError(506, `a transaction may have ${MAX_MESSAGES} operations and ${MAX_BYTES} bytes`);
}
