import type { StompFrame } from "../frame.ts";
import type { StompConnection } from "./connection.ts";

/** The messages of a connection that are not settled, and the frames that settle them. */
export class Unsettled {
  readonly #connection: StompConnection;
  /** The ids for ACK and NACK by tag, in the order of the tags: the header `ack` (1.2), or `message-id`. */
  readonly #ids = new Map<number, string>();
  /** The ids of the subscriptions by tag: 1.1 asks for them. */
  readonly #subscriptions = new Map<number, string>();

  constructor(connection: StompConnection) {
    this.#connection = connection;
  }

  /** Adds a received message; tags increase. */
  add(tag: number, frame: StompFrame): void {
    const messageId = frame.get("message-id") ?? "";
    if (this.#connection.version === "1.2") {
      this.#ids.set(tag, frame.get("ack") ?? messageId);
    } else {
      this.#ids.set(tag, messageId);
      this.#subscriptions.set(tag, frame.get("subscription") ?? "");
    }
  }

  /** Acknowledges a message, if it is not settled. */
  ack(tag: number): void {
    const id = this.#ids.get(tag);
    if (id !== undefined) this.#settle("ACK", tag, id, undefined);
  }

  /** Acknowledges all messages up to a tag. */
  ackAll(tag: number): void {
    // Deleting an entry during the iteration is safe.
    for (const [at, id] of this.#ids) {
      if (at > tag) return;
      this.#settle("ACK", at, id, undefined);
    }
  }

  /** Rejects a message, if it is not settled. STOMP 1.0 has no NACK: the message stays unsettled. */
  nack(tag: number, requeue: boolean): void {
    const id = this.#ids.get(tag);
    if (id !== undefined && this.#connection.version !== "1.0") this.#settle("NACK", tag, id, requeue);
  }

  #settle(command: "ACK" | "NACK", tag: number, id: string, requeue: boolean | undefined): void {
    const { encoder, version } = this.#connection;
    this.#ids.delete(tag);
    encoder.begin(command);
    if (version === "1.2") encoder.header("id", id);
    else {
      encoder.header("message-id", id);
      encoder.header("subscription", this.#subscriptions.get(tag) ?? "");
      this.#subscriptions.delete(tag);
    }
    // An extension of RabbitMQ; false discards the message. Other servers ignore it.
    if (requeue === false) encoder.header("requeue", "false");
    encoder.end();
  }
}
