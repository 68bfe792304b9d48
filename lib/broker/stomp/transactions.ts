import { amqpError } from "../../amqp/amqp_error.ts";
import { StompError } from "../../stomp/stomp_error.ts";
import { copyMessage } from "../core/message.ts";
import { quote } from "./replies.ts";
import type { Outgoing, Sending } from "./sending.ts";
import type { Settlement, Subscriptions } from "./subscriptions.ts";

/** Limits of all transactions of a session together. */
const MAX_TRANSACTIONS = 100;
const MAX_ACTIONS = 100_000;
const MAX_BYTES = 128 * 2 ** 20;

/** A message or an acknowledgement that waits for COMMIT. */
type Action = Outgoing | Settlement;

interface Transaction {
  readonly actions: Action[];
  bytes: number;
}

/** The open transactions of a session. */
export class Transactions {
  readonly #sending: Sending;
  readonly #subscriptions: Subscriptions;
  readonly #open = new Map<string, Transaction>();
  #actions = 0;
  #bytes = 0;

  constructor(sending: Sending, subscriptions: Subscriptions) {
    this.#sending = sending;
    this.#subscriptions = subscriptions;
  }

  /** Handles BEGIN. @throws {StompError} the transaction is open already; {AmqpError} 506: too many are open */
  begin(name: string): void {
    if (this.#open.has(name)) {
      throw new StompError("Bad transaction", `The transaction ${quote(name)} is open already\n`);
    }
    if (this.#open.size === MAX_TRANSACTIONS) {
      throw amqpError(506, `a session may have ${MAX_TRANSACTIONS} open transactions`);
    }
    this.#open.set(name, { actions: [], bytes: 0 });
  }

  /** Adds a message, which is copied. @throws {StompError | AmqpError} it is refused, or the limit is reached */
  publish(name: string, outgoing: Outgoing): void {
    const transaction = this.#find(name);
    this.#sending.check(outgoing);
    const { message } = outgoing;
    const size = message.bodyEnd - message.bodyStart + message.propertiesEnd - message.routeStart;
    this.#add(transaction, size, () => ({ ...outgoing, message: copyMessage(message) }));
  }

  /** Adds an acknowledgement. @throws {StompError | AmqpError} it is refused, or the limit is reached */
  settle(name: string, settlement: Settlement): void {
    const transaction = this.#find(name);
    if (!this.#subscriptions.isUnsettled(settlement)) {
      throw amqpError(406, `unknown delivery tag ${settlement.tag}`);
    }
    this.#add(transaction, 0, () => settlement);
  }

  /** Handles COMMIT: performs everything, in order. @throws {StompError | AmqpError} something is not possible any more */
  commit(name: string): void {
    const { actions } = this.#find(name);
    this.abort(name);
    // All is checked first, so that either everything is performed or nothing.
    for (const action of actions) {
      if ("message" in action) this.#sending.check(action);
      else if (!this.#subscriptions.isUnsettled(action)) {
        throw amqpError(406, `unknown delivery tag ${action.tag}`);
      }
    }
    for (const action of actions) {
      if ("message" in action) this.#sending.publish(action);
      // An earlier action of the transaction may have settled it, as well.
      else if (this.#subscriptions.isUnsettled(action)) this.#subscriptions.settle(action);
    }
  }

  /** Handles ABORT: forgets everything. @throws {StompError} the transaction is not open */
  abort(name: string): void {
    const { actions, bytes } = this.#find(name);
    this.#open.delete(name);
    this.#actions -= actions.length;
    this.#bytes -= bytes;
  }

  /** Forgets all transactions. */
  release(): void {
    this.#open.clear();
    this.#actions = this.#bytes = 0;
  }

  #add(transaction: Transaction, size: number, make: () => Action): void {
    if (this.#actions === MAX_ACTIONS || this.#bytes + size > MAX_BYTES) {
      throw amqpError(
        506,
        `the transactions of a session may have ${MAX_ACTIONS} operations and ${MAX_BYTES} bytes`,
      );
    }
    transaction.actions.push(make());
    transaction.bytes += size;
    this.#actions++;
    this.#bytes += size;
  }

  #find(name: string): Transaction {
    const transaction = this.#open.get(name);
    if (transaction === undefined) {
      throw new StompError("Bad transaction", `Invalid transaction identifier: ${quote(name)}\n`);
    }
    return transaction;
  }
}
