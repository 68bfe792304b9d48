import type { Batch } from "../../zmtp/batch.ts";
import { TopicTree } from "../outgoing/topic_tree.ts";

/** Keeps the messages whose first frame begins with one of its topics: the filter of SUB and DISH. */
export class TopicFilter {
  readonly #tree = new TopicTree<true>();
  readonly #exact: boolean;
  #matched = false;

  /** @param exact whether the first frame must equal the topic (RFC 48) */
  constructor(exact = false) {
    this.#exact = exact;
  }

  /** Adds a topic that the filter does not have. Its bytes are kept: do not change them. */
  add(topic: Uint8Array): void {
    this.#tree.add(topic, true);
  }

  /** Removes a topic. */
  remove(topic: Uint8Array): void {
    this.#tree.remove(topic, true);
  }

  /** Removes the messages that match no topic from a batch, in place. */
  apply(batch: Batch): void {
    const { frames, starts, ends, flags, bytes } = batch;
    batch.clear();
    for (let at = 0; at < frames;) {
      const keep = this.#matches(bytes, starts[at]!, ends[at]!);
      for (let more = true; more; at++) {
        more = flags[at] !== 0;
        if (keep) batch.add(starts[at]!, ends[at]!, flags[at]!);
      }
    }
  }

  #matches(bytes: Uint8Array, start: number, end: number): boolean {
    this.#matched = false;
    this.#tree.match(bytes, start, end, this.#onMatch);
    return this.#matched;
  }

  readonly #onMatch = (_value: true, rest: number): void => {
    this.#matched ||= !this.#exact || rest === 0;
  };
}
