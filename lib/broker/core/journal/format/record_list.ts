/**
 * The small files are lists of records alike: a length u32 of the content, a CRC-32C u32 of it that starts from a salt,
 * and the content; little-endian.
 */
import crypto from "node:crypto";
import { crc32c } from "./crc32c.ts";
import { RECORD_HEAD } from "./record.ts";

/** What was found behind the last record that is good is being written when a process ends; elsewhere it is damage. */
export interface ListEnd {
  /** Where the last good record ends. */
  readonly end: number;
  /** How many bytes in front of that are not of good records. */
  readonly damaged: number;
}

/** Writes length and sum of a record whose content is there. */
export function sealRecord(view: DataView, start: number, end: number, salt: number): void {
  view.setUint32(start, end - start - RECORD_HEAD, true);
  view.setUint32(start + 4, crc32c(view, start + RECORD_HEAD, end, salt), true);
}

/**
 * Reads the records from `start` on, and passes over what is damaged.
 *
 * @param tell where the content of a record begins and ends
 */
export function readRecords(
  view: DataView,
  start: number,
  salt: number,
  tell: (start: number, end: number) => void,
): ListEnd {
  const length = view.byteLength;
  let good = start;
  let damaged = 0;
  for (let at = start; at + RECORD_HEAD < length;) {
    const end = at + RECORD_HEAD + view.getUint32(at, true);
    const content = at + RECORD_HEAD;
    if (
      end > length || end === content || crc32c(view, content, end, salt) !== view.getUint32(at + 4, true)
    ) {
      at++;
      continue;
    }
    damaged += at - good;
    tell(content, end);
    good = at = end;
  }
  return { end: good, damaged };
}

/** A salt for a new file: nothing that others may write into a record passes for one. */
export function newSalt(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}
