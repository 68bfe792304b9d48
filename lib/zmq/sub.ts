import type { Batch } from "../zmtp/batch.ts";
import { EMPTY, utf8 } from "../zmtp/bytes.ts";
import type { Connection } from "../zmtp/connection.ts";
import type { SocketOptions } from "./options.ts";
import { Receiver } from "./receiver.ts";
import { Subscriptions } from "./subscriptions.ts";
import { TopicTree } from "./topic_tree.ts";

/** SUB (RFC 29): receives from PUB peers the messages whose first frame begins with a topic it subscribed to. */
export class Sub extends Receiver {
  readonly #subscriptions = new Subscriptions();
  readonly #tree = new TopicTree<true>();
  #matched = false;

  constructor(options: SocketOptions = {}) {
    super("SUB", options);
  }

  /** Subscribes to all messages that begin with `topic`; `""` is all. Each call wants an `unsubscribe` of its own. */
  subscribe(topic: string | Uint8Array): void {
    const bytes = toBytes(topic);
    if (this.#subscriptions.add(bytes)) this.#tree.add(bytes, true);
    // Every SUBSCRIBE is sent, and one CANCEL when the last is gone, as libzmq does.
    for (const connection of this.connections) connection.sendSubscriptions([bytes], true);
  }

  /** Takes one subscription back; without one this does nothing. */
  unsubscribe(topic: string | Uint8Array): void {
    const bytes = toBytes(topic);
    if (!this.#subscriptions.remove(bytes)) return;
    this.#tree.remove(bytes, true);
    for (const connection of this.connections) connection.sendSubscriptions([bytes], false);
  }

  protected override onAttach(connection: Connection): void {
    connection.sendSubscriptions(this.#subscriptions.topics, true);
  }

  /** Filters again: a publisher may be slow to cancel, or not filter at all. */
  override onBatch(from: Connection, batch: Batch): void {
    if (!this.#subscriptions.has(EMPTY)) this.#filter(batch);
    if (batch.messages > 0) super.onBatch(from, batch);
  }

  #filter(batch: Batch): void {
    const { frames, starts, ends, flags } = batch;
    let at = 0;
    let keep = false;
    let first = true;
    batch.clear();
    for (; at < frames; at++) {
      if (first) keep = this.#wants(batch.bytes, starts[at]!, ends[at]!);
      first = flags[at] === 0;
      if (keep) batch.add(starts[at]!, ends[at]!, flags[at]!);
    }
  }

  #wants(bytes: Uint8Array, start: number, end: number): boolean {
    this.#matched = false;
    this.#tree.match(bytes, start, end, this.#onMatch);
    return this.#matched;
  }

  readonly #onMatch = (): void => {
    this.#matched = true;
  };
}

function toBytes(topic: string | Uint8Array): Uint8Array {
  return typeof topic === "string" ? utf8(topic) : topic.slice();
}
