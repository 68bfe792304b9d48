/**
 * The common format of the small files, a list of records: length u32 of the content, CRC-32C u32 of the content with a
 * salt as the seed, content. All numbers are little-endian.
 */
import crypto from "node:crypto";
import { crc32c, seedOf } from "./crc32c.ts";
import { RECORD_HEAD } from "./record.ts";
import { isClose, isTorn } from "./scan.ts";

/** The result of reading a list. */
export interface ListScan {
  /** The end of the last valid record. */
  readonly end: number;
  /** The number of bytes that belong to no valid record, without an incomplete record at the end. */
  readonly damaged: number;
  /** The number of valid records. */
  readonly records: number;
  /** The valid bytes, as pairs of begin and end. */
  readonly pieces: readonly number[];
  /** Whether a record was valid except for its length, which is corrected in the bytes. */
  readonly corrected: boolean;
}

/** Writes the length and the sum of a record whose content is complete. */
export function sealRecord(view: DataView, start: number, end: number, salt: number): void {
  view.setUint32(start, end - start - RECORD_HEAD, true);
  view.setUint32(start + 4, crc32c(view, start + RECORD_HEAD, end, salt), true);
}

/**
 * Reads the records from `start` on and skips damaged bytes. The sum does not cover the length, so a record with a wrong
 * length is found between its neighbours.
 *
 * @param visit called with the begin and the end of each record's content; returns false when the content is not valid
 */
export function readRecords(
  view: DataView,
  start: number,
  salt: number,
  visit: (start: number, end: number) => boolean,
): ListScan {
  const length = view.byteLength;
  const pieces: number[] = [];
  let good = start;
  let damaged = 0;
  let records = 0;
  let corrected = false;
  const take = (at: number, end: number): boolean => {
    if (!visit(at + RECORD_HEAD, end)) return false;
    records++;
    if (pieces[pieces.length - 1] === at) pieces[pieces.length - 1] = end;
    else pieces.push(at, end);
    good = end;
    return true;
  };
  const correct = (at: number, end: number): void => {
    if (
      end - at > RECORD_HEAD && crc32c(view, at + RECORD_HEAD, end, salt) === view.getUint32(at + 4, true) &&
      take(at, end)
    ) {
      view.setUint32(at, end - at - RECORD_HEAD, true);
      corrected = true;
    } else damaged += end - at;
  };
  for (let at = start; at + RECORD_HEAD < length;) {
    const end = goodEnd(view, at, salt);
    if (end === 0) {
      at++;
      continue;
    }
    if (good < at) correct(good, at);
    if (!take(at, end)) {
      damaged += end - at;
      good = end;
    }
    at = end;
  }
  if (good < length) {
    const before = damaged;
    correct(good, length);
    if (damaged > before && isTorn(view, good, length)) damaged = before;
  }
  return { end: good, damaged, records, pieces, corrected };
}

/**
 * Finds the salt of a list, which every intact record tells.
 *
 * @param head the salt in the file's header, which may be damaged
 * @param fits whether bytes can be the content of a record
 * @returns undefined when no record is found
 */
export function findListSalt(
  view: DataView,
  start: number,
  head: number | undefined,
  fits: (start: number, end: number) => boolean,
): number | undefined {
  const length = view.byteLength;
  for (let at = start; at + RECORD_HEAD < length; at++) {
    const content = at + RECORD_HEAD;
    const end = content + view.getUint32(at, true);
    if (end > length || end === content || !fits(content, end)) continue;
    const salt = seedOf(view, content, end, view.getUint32(at + 4, true));
    if (goodEnd(view, end, salt) > 0 || (head !== undefined && isClose(salt, head))) return salt;
  }
  return undefined;
}

/** Makes a random salt for a new file, so that the content of a record cannot look like a record. */
export function newSalt(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}

/** Returns the end of the record at `at`, or 0 when there is no valid one. */
function goodEnd(view: DataView, at: number, salt: number): number {
  const content = at + RECORD_HEAD;
  if (content >= view.byteLength) return 0;
  const end = content + view.getUint32(at, true);
  if (end > view.byteLength || end === content) return 0;
  return crc32c(view, content, end, salt) === view.getUint32(at + 4, true) ? end : 0;
}
