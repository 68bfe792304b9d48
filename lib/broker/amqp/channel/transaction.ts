import { amqpError } from "../../../amqp/amqp_error.ts";
import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import { PropertyScan } from "../../../amqp/property_scan.ts";
import { copyMessage, type OwnMessage } from "../../core/message.ts";
import type { Outcome } from "./outcome.ts";

/** Limits of one transaction. */
const MAX_MESSAGES = 100_000;
const MAX_BYTES = 128 * 2 ** 20;

/** The parts of a channel that a transaction uses. */
export interface TransactionParts {
  readonly publishing: {
    /** @returns whether no queue refused the message */
    publish(
      exchange: string,
      routingKey: string,
      mandatory: boolean,
      message: EncodedMessage,
      scan: PropertyScan,
    ): boolean;
  };
  readonly consuming: {
    check(tag: number, multiple: boolean): void;
    apply(outcome: Outcome, tag: number, multiple: boolean): void;
  };
}

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
  readonly #parts: TransactionParts;
  #publishes: Publish[] = [];
  #settlements: Settlement[] = [];
  #bytes = 0;

  constructor(parts: TransactionParts) {
    this.#parts = parts;
  }

  /** @throws {AmqpError} 506: the transaction is too large */
  publish(exchange: string, routingKey: string, mandatory: boolean, message: EncodedMessage): void {
    this.#bytes += message.bodyEnd - message.bodyStart;
    if (this.#publishes.length === MAX_MESSAGES || this.#bytes > MAX_BYTES) throw tooLarge();
    this.#publishes.push({ exchange, routingKey, mandatory, message: copyMessage(message) });
  }

  /** @throws {AmqpError} 406: the tag is unknown; 506: the transaction is too large */
  settle(outcome: Outcome, tag: number, multiple: boolean): void {
    this.#parts.consuming.check(tag, multiple);
    if (this.#settlements.length === MAX_MESSAGES) throw tooLarge();
    this.#settlements.push({ outcome, tag, multiple });
  }

  /**
   * Applies all publishes, then all acknowledgements.
   *
   * @returns whether no queue refused a message
   * @throws {AmqpError} 404: an exchange no longer exists; 406: a delivery tag is unknown
   */
  commit(): boolean {
    const { publishing, consuming } = this.#parts;
    const publishes = this.#publishes;
    const settlements = this.#settlements;
    this.rollback();
    const scan = new PropertyScan();
    let complete = true;
    for (const { exchange, routingKey, mandatory, message } of publishes) {
      scan.read(message.head, message.propertiesStart, message.propertiesEnd);
      complete = publishing.publish(exchange, routingKey, mandatory, message, scan) && complete;
    }
    for (const { outcome, tag, multiple } of settlements) consuming.apply(outcome, tag, multiple);
    return complete;
  }

  /** Discards everything; delivered messages stay unacknowledged. */
  rollback(): void {
    this.#publishes = [];
    this.#settlements = [];
    this.#bytes = 0;
  }
}

function tooLarge(): Error {
  return amqpError(506, `a transaction may have ${MAX_MESSAGES} operations and ${MAX_BYTES} bytes`);
}
