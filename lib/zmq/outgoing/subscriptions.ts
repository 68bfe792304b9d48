import { keyOf } from "../../zmtp/bytes.ts";

/** The topics that a SUB or XSUB subscribed to: each once, with how often. */
export class Subscriptions {
  readonly #topics = new Map<string, { topic: Uint8Array; count: number }>();

  /** Adds a topic, whose bytes are kept. @returns whether it is new */
  add(topic: Uint8Array): boolean {
    const entry = this.#topics.get(keyOf(topic));
    if (entry !== undefined) entry.count++;
    else this.#topics.set(keyOf(topic), { topic, count: 1 });
    return entry === undefined;
  }

  /** Takes one subscription back. @returns whether it was the last for this topic */
  remove(topic: Uint8Array): boolean {
    const entry = this.#topics.get(keyOf(topic));
    if (entry === undefined || --entry.count > 0) return false;
    return this.#topics.delete(keyOf(topic));
  }

  has(topic: Uint8Array): boolean {
    return this.#topics.has(keyOf(topic));
  }

  /** Each topic once: what a new peer has to be told. */
  get topics(): Uint8Array[] {
    return [...this.#topics.values()].map(({ topic }) => topic);
  }
}
