import { checkSum, RecordView, SEGMENT_HEAD, SOURCE, SOURCE_SIZE } from "./record.ts";
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
  /** The end of the last valid record. */
  readonly end: number;
  /** The number of damaged bytes before `end`. */
  readonly damaged: number;
}

/**
 * Reads a segment and checks every record. It skips damaged records and continues with the next valid one.
 *
 * @param length the number of available bytes
 */
export function scanLog(bytes: Uint8Array, view: DataView, length: number, salt: number): Scan {
  const record = new RecordView();
  const index = new IndexBuilder();
  let end = SEGMENT_HEAD;
  let damaged = 0;
  for (let at = SEGMENT_HEAD; at + SOURCE_SIZE <= length;) {
    if (!isGood(record, bytes, view, at, length, salt)) {
      at = nextGood(record, bytes, view, at, length, salt);
      if (at < 0) break;
      damaged += at - end;
    }
    add(index, record, at);
    end = at = record.end;
  }
  return { index: index.finish(), end, damaged };
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

/** Finds the next valid record after a damaged one, or -1. Lengths are checked before a sum is computed. */
function nextGood(
  record: RecordView,
  bytes: Uint8Array,
  view: DataView,
  at: number,
  length: number,
  salt: number,
): number {
  if (record.set(bytes, view, at, length) && isGood(record, bytes, view, record.end, length, salt)) {
    return record.start;
  }
  for (at++; at + SOURCE_SIZE <= length; at++) {
    if (isGood(record, bytes, view, at, length, salt)) return at;
  }
  return -1;
}

function add(index: IndexBuilder, record: RecordView, offset: number): void {
  if (record.type === SOURCE) return index.addSource(record.source);
  const { size, targets } = record;
  for (let i = 0; i < targets; i++) {
    index.add(record.queueId(i), record.lane(i), record.seq(i), offset, size, record.expiry(i));
  }
}
