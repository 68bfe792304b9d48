/** CLIENT and SERVER send and receive messages of one frame only (RFC 41). */
import type { Batch } from "../zmtp/batch.ts";

/** The error if the message at frame `at` has several frames. */
export function severalFrames(batch: Batch, at: number, type: string): RangeError | undefined {
  if (batch.flags[at] === 0) return undefined;
  return new RangeError(`Cannot send a ${type} message of ${batch.messageEnd(at) - at} frames: expected one`);
}

/** Drops the messages of several frames from a batch, as libzmq does. @returns whether any message is left */
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
