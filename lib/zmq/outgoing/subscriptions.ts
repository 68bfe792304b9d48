import { keyOf } from "../../zmtp/bytes.ts";

/** The topics that a SUB, XSUB or DISH subscribed to, with the number of subscriptions to each. */
export class Subscriptions {
  readonly #topics = new Map<string, { topic: Uint8Array; count: number }>();

  /** Adds a subscription. The bytes of the topic are kept. @returns whether the topic is new */
  add(topic: Uint8Array): boolean {
    const entry = this.#topics.get(keyOf(topic));
    if (entry !== undefined) entry.count++;
    else this.#topics.set(keyOf(topic), { topic, count: 1 });
    return entry === undefined;
  }

  /** Removes one subscription. @returns whether it was the last one to this topic */
  remove(topic: Uint8Array): boolean {
    const entry = this.#topics.get(keyOf(topic));
    if (entry === undefined || --entry.count > 0) return false;
    return this.#topics.delete(keyOf(topic));
  }

  has(topic: Uint8Array): boolean {
    return this.#topics.has(keyOf(topic));
  }

  /** Each topic once: the subscriptions that a new peer is sent. */
  get topics(): Uint8Array[] {
    return [...this.#topics.values()].map(({ topic }) => topic);
  }
}
