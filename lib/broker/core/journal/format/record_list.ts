/**
 * The common format of the small files, a list of records: length u32 of the content, CRC-32C u32 of the content with a
 * salt as the seed, content. All numbers are little-endian.
 */
import crypto from "node:crypto";
import { crc32c } from "./crc32c.ts";
import { RECORD_HEAD } from "./record.ts";

/**
 * The result of reading a list. Invalid bytes after the last valid record are an incomplete write, others are damage.
 */
export interface ListEnd {
  /** The end of the last valid record. */
  readonly end: number;
  /** The number of bytes before `end` that belong to no valid record. */
  readonly damaged: number;
}

/** Writes the length and the sum of a record whose content is complete. */
export function sealRecord(view: DataView, start: number, end: number, salt: number): void {
  view.setUint32(start, end - start - RECORD_HEAD, true);
  view.setUint32(start + 4, crc32c(view, start + RECORD_HEAD, end, salt), true);
}

/**
 * Reads the records from `start` on and skips damaged bytes.
 *
 * @param visit called with the begin and the end of each record's content
 */
export function readRecords(
  view: DataView,
  start: number,
  salt: number,
  visit: (start: number, end: number) => void,
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
    visit(content, end);
    good = at = end;
  }
  return { end: good, damaged };
}

/** Makes a random salt for a new file, so that the content of a record cannot look like a record. */
export function newSalt(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}
