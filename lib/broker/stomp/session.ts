import type { StompFrame } from "../../stomp/frame.ts";
import { StompError } from "../../stomp/stomp_error.ts";
import type { MessageStats } from "../core/message_stats.ts";
import type { QueueConsumer } from "../core/queue/consumer.ts";
import type { ClientChannel } from "../protocol.ts";
import type { SessionConnection, SessionHost } from "./contract.ts";
import { Endpoints } from "./endpoints.ts";
import { quote } from "./replies.ts";
import { Sending } from "./sending.ts";
import { Subscriptions } from "./subscriptions.ts";
import { Transactions } from "./transactions.ts";

/** What a client does after its login: it dispatches frames, and is shown as the only channel of the connection. */
export class StompSession implements ClientChannel {
  readonly number = 1;
  readonly globalPrefetch = 0;
  readonly transactional = false;
  readonly subscriptions: Subscriptions;
  readonly sending: Sending;
  readonly #transactions: Transactions;
  readonly #connection: SessionConnection;
  readonly #host: SessionHost;

  constructor(connection: SessionConnection, host: SessionHost) {
    this.#connection = connection;
    this.#host = host;
    const endpoints = new Endpoints(connection);
    this.subscriptions = new Subscriptions(connection, host, endpoints);
    this.sending = new Sending(connection, host, endpoints, this.subscriptions);
    this.#transactions = new Transactions(this.sending, this.subscriptions);
  }

  get consumers(): ReadonlyMap<string, QueueConsumer> {
    return this.subscriptions.consumers;
  }

  get stats(): MessageStats {
    return this.#connection.stats;
  }

  get unconfirmed(): number {
    return this.sending.unconfirmed;
  }

  get unacked(): number {
    return this.subscriptions.deliveries.count;
  }

  get prefetch(): number {
    return this.subscriptions.prefetch;
  }

  get confirms(): boolean {
    return this.sending.confirms;
  }

  /**
   * Handles a frame, except for CONNECT and DISCONNECT, and sends its receipt.
   *
   * @throws {StompError | AmqpError} it is refused
   */
  onFrame(frame: StompFrame): void {
    const receipt = frame.get("receipt");
    switch (frame.command) {
      case "SEND":
        // Its receipt is sent when the message is safe.
        return this.#send(frame);
      case "SUBSCRIBE":
        this.subscriptions.subscribe(frame);
        break;
      case "UNSUBSCRIBE":
        this.subscriptions.unsubscribe(frame);
        break;
      case "ACK":
      case "NACK":
        this.#settle(frame);
        break;
      case "BEGIN":
        this.#transactions.begin(transactionOf(frame));
        break;
      case "COMMIT":
        this.#transactions.commit(transactionOf(frame));
        if (receipt === undefined) return;
        this.#host.cycle.syncThisCycle();
        return this.sending.promise(receipt, this.#host.position);
      case "ABORT":
        this.#transactions.abort(transactionOf(frame));
        break;
      default:
        throw new StompError("Bad command", `Could not interpret command ${quote(frame.command)}\n`);
    }
    if (receipt === undefined) return;
    this.#connection.encoder.frame("RECEIPT", [["receipt-id", receipt]]);
    this.#connection.touch();
  }

  /** Ends subscriptions and transactions; messages that are not acknowledged are requeued. */
  release(): void {
    this.subscriptions.release();
    this.#transactions.release();
  }

  #send(frame: StompFrame): void {
    const transaction = frame.get("transaction");
    const outgoing = this.sending.messageOf(frame);
    if (transaction === undefined) this.sending.publish(outgoing);
    else this.#transactions.publish(transaction, outgoing);
  }

  #settle(frame: StompFrame): void {
    const transaction = frame.get("transaction");
    const settlement = this.subscriptions.settlementOf(frame);
    if (transaction === undefined) this.subscriptions.settle(settlement);
    else this.#transactions.settle(transaction, settlement);
  }
}

function transactionOf(frame: StompFrame): string {
  const transaction = frame.get("transaction");
  if (transaction === undefined) {
    throw new StompError(
      "Missing transaction",
      `${quote(frame.command)} must include a 'transaction' header\n`,
    );
  }
  return transaction;
}
