import { amqpError } from "../../../amqp/amqp_error.ts";
import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import { PropertyScan } from "../../../amqp/property_scan.ts";
import { copyMessage, type OwnMessage } from "../../core/message.ts";
import { type Outcome, unknownTag } from "../../core/clients/outcome.ts";

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
    readonly deliveries: { readonly last: number };
    slotOf(tag: number): number;
    apply(outcome: Outcome, tag: number, multiple: boolean): void;
    applyUpTo(outcome: Outcome, tag: number): void;
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
  /** The deliveries that `#settlements` settles: all up to a tag, and single ones. */
  #settledUpTo = 0;
  readonly #settled = new Set<number>();

  constructor(parts: TransactionParts) {
    this.#parts = parts;
  }

  /** @throws {AmqpError} 506: the transaction is too large */
  publish(exchange: string, routingKey: string, mandatory: boolean, message: EncodedMessage): void {
    this.#bytes += message.bodyEnd - message.bodyStart;
    if (this.#publishes.length === MAX_MESSAGES || this.#bytes > MAX_BYTES) throw tooLarge();
    this.#publishes.push({ exchange, routingKey, mandatory, message: copyMessage(message) });
  }

  /** @throws {AmqpError} 406: the tag is unknown or already settled; 506: the transaction is too large */
  settle(outcome: Outcome, tag: number, multiple: boolean): void {
    const { consuming } = this.#parts;
    if (multiple && tag === 0) {
      // 0 stands for all deliveries up to now, without those that follow before the commit.
      tag = consuming.deliveries.last;
      if (tag <= this.#settledUpTo) return;
    } else {
      consuming.slotOf(tag);
      if (this.settles(tag)) throw unknownTag(tag);
    }
    if (this.#settlements.length === MAX_MESSAGES) throw tooLarge();
    this.#settlements.push({ outcome, tag, multiple });
    if (multiple) this.#settledUpTo = Math.max(this.#settledUpTo, tag);
    else this.#settled.add(tag);
  }

  /** Whether the transaction settles a delivery when it is committed. */
  settles(tag: number): boolean {
    return tag <= this.#settledUpTo || this.#settled.has(tag);
  }

  /**
   * Applies all publishes, then all acknowledgements.
   *
   * @returns whether no queue refused a message
   * @throws {AmqpError} 404: an exchange no longer exists
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
    for (const { outcome, tag, multiple } of settlements) {
      if (multiple) consuming.applyUpTo(outcome, tag);
      else consuming.apply(outcome, tag, false);
    }
    return complete;
  }

  /** Discards everything; delivered messages stay unacknowledged. */
  rollback(): void {
    this.#publishes = [];
    this.#settlements = [];
    this.#bytes = 0;
    this.#settledUpTo = 0;
    this.#settled.clear();
  }
}

function tooLarge(): Error {
  return amqpError(506, `a transaction may have ${MAX_MESSAGES} operations and ${MAX_BYTES} bytes`);
}
