/** Readers of a part of a buffer must not look beyond its end, where other bytes may follow. */
import assert from "node:assert/strict";

/** Reads `bytes[start, end)`. */
export type Read = (bytes: Uint8Array, start: number, end: number) => unknown;

function outcomeOf(read: Read, bytes: Uint8Array, start: number, end: number): unknown {
  try {
    return { value: read(bytes, start, end) };
  } catch (error) {
    const { name, message } = error as Error;
    return { name, message };
  }
}

/**
 * Checks that a reader has the same result for bytes at the end of a buffer as for the same bytes between others, for all
 * of them and wherever they are cut.
 *
 * @returns the lengths at which the reader accepts the bytes
 */
export function checkLogicalEnd(read: Read, bytes: Uint8Array): number[] {
  const accepted: number[] = [];
  for (let length = 0; length <= bytes.length; length++) {
    const alone = outcomeOf(read, bytes.slice(0, length), 0, length);
    if ("value" in (alone as object)) accepted.push(length);
    // Bytes that look like lengths, flags or more of the same follow.
    for (const [before, after] of [[0, 0], [5, 0], [3, 1], [40, 2], [300, 0xff]] as const) {
      const rest = after === 2 ? bytes.slice(length) : new Uint8Array(300).fill(after);
      const buffer = new Uint8Array(before + length + rest.length).fill(1);
      buffer.set(bytes.subarray(0, length), before);
      buffer.set(rest, before + length);
      const within = outcomeOf(read, buffer, before, before + length);
      assert.deepEqual(
        within,
        alone,
        `${length} of ${bytes.length} bytes after ${before} others, before ${after}`,
      );
    }
  }
  return accepted;
}
