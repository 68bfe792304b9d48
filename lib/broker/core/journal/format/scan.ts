import { checkSum, RecordView, SEGMENT_HEAD, SOURCE, SOURCE_SIZE } from "./record.ts";
import type { Segment } from "../segment.ts";
import { IndexBuilder, type SegmentIndex } from "./segment_index.ts";

/** The index of a segment that is in memory, and that this process wrote. */
export function indexLog(segment: Segment): SegmentIndex {
  const { bytes, view, end } = segment;
  const record = new RecordView();
  const index = new IndexBuilder();
  for (let at = SEGMENT_HEAD; record.set(bytes!, view!, at, end); at = record.end) add(index, record, at);
  return index.finish();
}

/** What was found in a segment that has no index. */
export interface Scan {
  readonly index: SegmentIndex;
  /** Where the last good record ends. */
  readonly end: number;
  /** What is damaged in front of that, in bytes. */
  readonly damaged: number;
}

/**
 * Reads a segment of whose records none is to be trusted. Where one is damaged it goes on with the next good one.
 *
 * @param length of what there is of it
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

/** The next good record behind a damaged one, or -1. Its lengths must agree before a sum is computed. */
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
