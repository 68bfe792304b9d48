/**
 * The acknowledgement file of a segment: a list of records (`record_list.ts`) with the segment's salt. Each record has
 * ranges of 15 bytes: queue id u32, lane u8, first sequence number u48, count u32. All numbers are little-endian.
 */
import { RECORD_HEAD } from "./record.ts";
import { type ListScan, readRecords, sealRecord } from "./record_list.ts";
import type { Segment } from "../segment.ts";

const RANGE = 15;
const FIRST_SIZE = 256;
const HIGH = 2 ** 32;

/** Begins a new range with the sequence number of a settled target. `Journal.settle` extends it. */
export function addAck(segment: Segment, queueId: number, lane: number, seq: number): void {
  closeRange(segment);
  segment.ackQueue = queueId;
  segment.ackLane = lane;
  segment.ackFrom = segment.ackTo = seq;
}

/** Encodes the range that is being collected. */
function closeRange(segment: Segment): void {
  const { ackFrom, ackTo } = segment;
  if (ackFrom > ackTo) return;
  let acks = segment.acks;
  const at = segment.acksLength === 0 ? RECORD_HEAD : segment.acksLength;
  if (acks === undefined || at + RANGE > acks.length) {
    const grown = new Uint8Array(acks === undefined ? FIRST_SIZE : 2 * acks.length);
    if (acks !== undefined) grown.set(acks);
    segment.acks = acks = grown;
  }
  writeUint32(acks, at, segment.ackQueue);
  acks[at + 4] = segment.ackLane;
  writeUint32(acks, at + 5, ackFrom);
  const high = Math.floor(ackFrom / HIGH);
  acks[at + 9] = high;
  acks[at + 10] = high >>> 8;
  writeUint32(acks, at + 11, ackTo - ackFrom + 1);
  segment.acksLength = at + RANGE;
  segment.ackTo = -1;
  segment.ackFrom = 0;
}

/** Encodes a record with all collected ranges: the first `acksLength` bytes of the result. */
export function encodeAcks(segment: Segment): Uint8Array {
  closeRange(segment);
  const acks = segment.acks!;
  sealRecord(new DataView(acks.buffer), 0, segment.acksLength, segment.salt);
  return acks;
}

/** Clears the collected ranges after they were written. */
export function clearAcks(segment: Segment): void {
  segment.ackFileLength += segment.acksLength;
  segment.acksLength = 0;
  segment.acks = undefined;
}

/** A range of settled messages of one lane, both ends included. */
export interface AckRange {
  readonly queueId: number;
  readonly lane: number;
  readonly from: number;
  readonly to: number;
}

/** Reads an acknowledgement file. */
export function decodeAcks(bytes: Uint8Array, salt: number, visit: (range: AckRange) => void): ListScan {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return readRecords(view, 0, salt, (start, end) => {
    if (!isAckRecord(start, end)) return false;
    for (let at = start; at < end; at += RANGE) {
      const from = view.getUint32(at + 5, true) + HIGH * view.getUint16(at + 9, true);
      const to = from + view.getUint32(at + 11, true) - 1;
      visit({ queueId: view.getUint32(at, true), lane: view.getUint8(at + 4), from, to });
    }
    return true;
  });
}

/** Whether the content of a record can be a list of ranges. */
export function isAckRecord(start: number, end: number): boolean {
  return (end - start) % RANGE === 0;
}

/** Encodes an acknowledgement file with the given ranges. */
export function encodeRanges(ranges: readonly AckRange[], segment: Segment): Uint8Array {
  for (const { queueId, lane, from, to } of ranges) {
    addAck(segment, queueId, lane, from);
    segment.ackTo = to;
  }
  const bytes = encodeAcks(segment).slice(0, segment.acksLength);
  segment.acksLength = 0;
  segment.acks = undefined;
  return bytes;
}

function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}
