import type { Filter } from "../../lib/filter/filter.ts";
import { PlainMessage } from "../../lib/filter/message.ts";
import { type Batch, COMMAND } from "../../lib/zmtp/batch.ts";

/** Removes the messages that do not match a filter from batches. */
export class BatchFilter {
  readonly #filter: Filter;
  readonly #message = new PlainMessage();

  constructor(filter: Filter) {
    this.#filter = filter;
  }

  /** Filters a batch in place. The topic of a message is the first one of several frames, and the body is the last one. */
  apply(batch: Batch): void {
    const { frames, starts, ends, flags, bytes } = batch;
    const message = this.#message;
    message.body = bytes;
    batch.clear();
    for (let from = 0; from < frames;) {
      const end = batch.messageEnd(from);
      const isCommand = (flags[from]! & COMMAND) !== 0;
      message.topicFrame = end - from > 1 ? bytes.subarray(starts[from], ends[from]) : undefined;
      message.bodyStart = starts[end - 1]!;
      message.bodyEnd = ends[end - 1]!;
      const keep = isCommand || this.#filter.matches(message);
      for (; from < end; from++) if (keep) batch.add(starts[from]!, ends[from]!, flags[from]!);
    }
  }
}
