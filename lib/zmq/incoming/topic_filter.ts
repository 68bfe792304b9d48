import type { Batch } from "../../zmtp/batch.ts";
import { TopicTree } from "../outgoing/topic_tree.ts";

/** Keeps the messages whose first frame begins with one of some topics: what SUB does with what it is sent. */
export class TopicFilter {
  readonly #tree = new TopicTree<true>();
  readonly #exact: boolean;
  #matched = false;

  /** @param exact whether the first frame must be the topic as a whole (RFC 48) */
  constructor(exact = false) {
    this.#exact = exact;
  }

  /** Adds a topic that the filter does not have. Leave its bytes as they are. */
  add(topic: Uint8Array): void {
    this.#tree.add(topic, true);
  }

  remove(topic: Uint8Array): void {
    this.#tree.remove(topic, true);
  }

  /** Takes the messages that match none of the topics out of a batch, in place. */
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

  readonly #onMatch = (_value: true, behind: number): void => {
    this.#matched ||= !this.#exact || behind === 0;
  };
}
