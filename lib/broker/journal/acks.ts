/**
 * The file of acknowledgements beside a segment: records of a length u32, a CRC-32C u32 with the segment's salt, and
 * ranges of 15 bytes: queue id u32, lane u8, first sequence number u48, count u32. All little-endian.
 */
import { crc32c } from "./crc32c.ts";
import { RECORD_HEAD } from "./record.ts";
import type { Segment } from "./segment.ts";

const RANGE = 15;
const FIRST_SIZE = 256;
const HIGH = 2 ** 32;

/** A target of a segment's message is settled; those in a row become one range. */
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

/** The record of all that was collected: the first `acksLength` bytes of `acks`. */
export function encodeAcks(segment: Segment): Uint8Array {
  closeRange(segment);
  const acks = segment.acks!;
  const view = new DataView(acks.buffer);
  view.setUint32(0, segment.acksLength - RECORD_HEAD, true);
  view.setUint32(4, crc32c(view, RECORD_HEAD, segment.acksLength, segment.salt), true);
  return acks;
}

/** What was collected is written. */
export function clearAcks(segment: Segment): void {
  segment.ackFileLength += segment.acksLength;
  segment.acksLength = 0;
  segment.acks = undefined;
}

/**
 * Reads a file of acknowledgements.
 *
 * @returns where its good part ends; a record cut off at the end is not part of it
 */
export function decodeAcks(
  bytes: Uint8Array,
  salt: number,
  tell: (queueId: number, lane: number, from: number, to: number) => void,
): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let start = 0;
  while (start + RECORD_HEAD <= bytes.length) {
    const end = start + RECORD_HEAD + view.getUint32(start, true);
    if (end > bytes.length || (end - start - RECORD_HEAD) % RANGE !== 0 || end === start + RECORD_HEAD) break;
    if (crc32c(view, start + RECORD_HEAD, end, salt) !== view.getUint32(start + 4, true)) break;
    for (let at = start + RECORD_HEAD; at < end; at += RANGE) {
      const from = view.getUint32(at + 5, true) + HIGH * view.getUint16(at + 9, true);
      tell(view.getUint32(at, true), view.getUint8(at + 4), from, from + view.getUint32(at + 11, true) - 1);
    }
    start = end;
  }
  return start;
}

function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}
