import type { Batch } from "../../zmtp/batch.ts";
import { EMPTY, utf8 } from "../../zmtp/bytes.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import type { SocketOptions } from "../options.ts";
import { Receiver } from "../receiver.ts";
import { Subscriptions } from "../outgoing/subscriptions.ts";
import { TopicFilter } from "../incoming/topic_filter.ts";

/** SUB (RFC 29): receives from PUB peers the messages whose first frame begins with a topic it subscribed to. */
export class Sub extends Receiver {
  readonly #subscriptions = new Subscriptions();
  readonly #filter = new TopicFilter();

  constructor(options: SocketOptions = {}) {
    super("SUB", options);
  }

  /** Subscribes to all messages that begin with `topic`; `""` is all. Each call wants an `unsubscribe` of its own. */
  subscribe(topic: string | Uint8Array): void {
    const bytes = toBytes(topic);
    if (this.#subscriptions.add(bytes)) this.#filter.add(bytes);
    // Every SUBSCRIBE is sent, and one CANCEL when the last is gone, as libzmq does.
    for (const connection of this.connections) connection.sendSubscriptions([bytes], true);
  }

  /** Takes one subscription back; without one this does nothing. */
  unsubscribe(topic: string | Uint8Array): void {
    const bytes = toBytes(topic);
    if (!this.#subscriptions.remove(bytes)) return;
    this.#filter.remove(bytes);
    for (const connection of this.connections) connection.sendSubscriptions([bytes], false);
  }

  protected override onAttach(connection: ZmtpConnection): void {
    connection.sendSubscriptions(this.#subscriptions.topics, true);
  }

  /** Filters again: a publisher may be slow to cancel, or not filter at all. */
  override onBatch(from: ZmtpConnection, batch: Batch): void {
    if (!this.#subscriptions.has(EMPTY)) this.#filter.apply(batch);
    if (batch.messages > 0) super.onBatch(from, batch);
  }
}

function toBytes(topic: string | Uint8Array): Uint8Array {
  return typeof topic === "string" ? utf8(topic) : topic.slice();
}
