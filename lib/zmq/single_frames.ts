/** CLIENT and SERVER know messages of one frame only (RFC 41). */
import type { Batch } from "../zmtp/batch.ts";

/** The error when the message that begins at frame `at` has several. */
export function severalFrames(batch: Batch, at: number, type: string): RangeError | undefined {
  if (batch.flags[at] === 0) return undefined;
  return new RangeError(`A ${type} message has one frame: received ${batch.messageEnd(at) - at}`);
}

/** Drops the messages of several frames from a batch, as libzmq does; tells whether any are left. */
export function keepSingles(batch: Batch): boolean {
  if (batch.messages < batch.frames) {
    const { frames, starts, ends, flags } = batch;
    batch.clear();
    for (let at = 0, begins = true; at < frames; at++) {
      if (begins && flags[at] === 0) batch.add(starts[at]!, ends[at]!, 0);
      begins = flags[at] === 0;
    }
  }
  return batch.messages > 0;
}
