import { seedOf } from "./crc32c.ts";
import { checkSum, HEAD, RECORD_HEAD, RecordView, SEGMENT_HEAD, SOURCE, SOURCE_SIZE } from "./record.ts";
import type { Segment } from "../segment.ts";
import { IndexBuilder, type SegmentIndex } from "./segment_index.ts";

/** Builds the index of a segment in memory that was written by this process. */
export function indexLog(segment: Segment): SegmentIndex {
  const { bytes, view, end } = segment;
  const record = new RecordView();
  const index = new IndexBuilder();
  for (let at = SEGMENT_HEAD; record.set(bytes!, view!, at, end); at = record.end) add(index, record, at);
  return index.finish();
}

/** The result of scanning a segment without an index. */
export interface Scan {
  readonly index: SegmentIndex;
  /** The number of valid records, without head records. */
  readonly records: number;
  /** The bytes of these records, as pairs of begin and end. */
  readonly pieces: readonly number[];
  /** The end of the last valid record. */
  readonly end: number;
  /** The number of bytes that belong to no valid record, without an incomplete record at the end. */
  readonly damaged: number;
  /** Whether a record was valid except for its length, which is corrected in `bytes`. */
  readonly corrected: boolean;
}

/**
 * Reads a segment and checks every record. It skips damaged records and continues with the next valid one. The sum of a
 * record does not cover its length, so a record with a wrong length is found between its neighbours.
 *
 * @param length the number of available bytes
 */
export function scanLog(bytes: Uint8Array, view: DataView, length: number, salt: number): Scan {
  const record = new RecordView();
  const index = new IndexBuilder();
  const pieces: number[] = [];
  let end = SEGMENT_HEAD;
  let damaged = 0;
  let records = 0;
  let corrected = false;
  for (let at = SEGMENT_HEAD; at + SOURCE_SIZE <= length;) {
    if (!isGood(record, bytes, view, at, length, salt)) {
      const next = nextGood(record, bytes, view, at, length, salt);
      if (correctLength(record, bytes, view, at, next < 0 ? length : next, salt)) corrected = true;
      else if (next < 0) break;
      else {
        damaged += next - at;
        at = next;
        isGood(record, bytes, view, at, length, salt);
      }
    }
    end = at;
    at = record.end;
    if (record.type === HEAD) {
      end = at;
      continue;
    }
    records++;
    add(index, record, end);
    if (pieces[pieces.length - 1] === end) pieces[pieces.length - 1] = at;
    else pieces.push(end, at);
    end = at;
  }
  if (end < length && !isTorn(view, end, length)) damaged += length - end;
  return { index: index.finish(), records, pieces, end, damaged, corrected };
}

/**
 * Whether the bytes from `start` to `end`, where a file ends, are the begin of a record whose rest was not written, or
 * zeros, which a power failure leaves.
 */
export function isTorn(view: DataView, start: number, end: number): boolean {
  if (end - start < RECORD_HEAD || start + RECORD_HEAD + view.getUint32(start, true) > end) return true;
  for (let at = start; at < end; at++) if (view.getUint8(at) !== 0) return false;
  return true;
}

/** Finds the salt of a segment whose header is damaged. @returns undefined when no record is found */
export function findSalt(bytes: Uint8Array, view: DataView, length: number): number | undefined {
  const record = new RecordView();
  const head = length >= SEGMENT_HEAD ? view.getUint32(12, true) : 0;
  for (let at = 0; at + SOURCE_SIZE <= length; at++) {
    if (!record.set(bytes, view, at, length)) continue;
    const { end } = record;
    const salt = seedOf(view, at + RECORD_HEAD, end, view.getUint32(at + 4, true));
    // A second record proves it, or the header, if only one of the four bytes is different.
    if (isGood(record, bytes, view, end, length, salt) || isClose(salt, head)) return salt;
  }
  return undefined;
}

/** Whether at most one of the four bytes of two salts differs. */
export function isClose(a: number, b: number): boolean {
  let different = 0;
  for (let bits = 0; bits < 32; bits += 8) if ((a >>> bits & 255) !== (b >>> bits & 255)) different++;
  return different <= 1;
}

function isGood(
  record: RecordView,
  bytes: Uint8Array,
  view: DataView,
  at: number,
  length: number,
  salt: number,
): boolean {
  return record.set(bytes, view, at, length) && checkSum(view, at, record.end, salt);
}

/** Sets the length of the record at `at` so that it ends at `end`. @returns false when it is not valid then either */
function correctLength(
  record: RecordView,
  bytes: Uint8Array,
  view: DataView,
  at: number,
  end: number,
  salt: number,
): boolean {
  if (end - at < SOURCE_SIZE) return false;
  const before = view.getUint32(at, true);
  view.setUint32(at, end - at - RECORD_HEAD, true);
  if (isGood(record, bytes, view, at, end, salt)) return true;
  view.setUint32(at, before, true);
  return false;
}

/** Finds the next valid record after a damaged one, or -1. Lengths are checked before a sum is computed. */
function nextGood(
  record: RecordView,
  bytes: Uint8Array,
  view: DataView,
  at: number,
  length: number,
  salt: number,
): number {
  if (
    at >= SEGMENT_HEAD && record.set(bytes, view, at, length) &&
    isGood(record, bytes, view, record.end, length, salt)
  ) {
    return record.start;
  }
  for (at++; at + SOURCE_SIZE <= length; at++) {
    if (isGood(record, bytes, view, at, length, salt)) return at;
  }
  return -1;
}

function add(index: IndexBuilder, record: RecordView, offset: number): void {
  if (record.type === SOURCE) return index.addSource(record.source);
  if (record.type === HEAD) return;
  const { size, targets } = record;
  for (let i = 0; i < targets; i++) {
    index.add(record.queueId(i), record.lane(i), record.seq(i), offset, size, record.expiry(i));
  }
  if (record.hasOrigin) index.addOrigin(record.queueId(targets), record.lane(targets), record.seq(targets));
}
