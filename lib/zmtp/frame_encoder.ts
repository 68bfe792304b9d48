import { type Batch, COMMAND, LONG } from "./batch.ts";

/** Up to this length a body is copied byte by byte. */
const SHORT = 64;
/** The largest frame header: flags and a 64-bit length. */
export const MAX_HEADER = 9;

/**
 * Writes a frame header (RFC 37, 2.3).
 *
 * @param flags MORE or COMMAND; LONG is set by the length
 * @param length of the body, in bytes
 * @returns the position behind the header
 */
export function writeHeader(target: Uint8Array, at: number, flags: number, length: number): number {
  if (length < 256) {
    target[at] = flags;
    target[at + 1] = length;
    return at + 2;
  }
  target[at] = flags | LONG;
  writeUint32(target, at + 1, Math.floor(length / 0x100000000));
  writeUint32(target, at + 5, length % 0x100000000);
  return at + 9;
}

/** A command frame: the name's length, the name, the data (RFC 37, 2.4). */
export function encodeCommand(name: string, data: Uint8Array): Uint8Array {
  const length = 1 + name.length + data.length;
  const frame = new Uint8Array((length < 256 ? 2 : MAX_HEADER) + length);
  let at = writeHeader(frame, 0, COMMAND, length);
  frame[at++] = name.length;
  for (let i = 0; i < name.length; i++) frame[at++] = name.charCodeAt(i);
  frame.set(data, at);
  return frame;
}

/** A message of one frame. */
export function encodeFrame(body: Uint8Array, flags = 0): Uint8Array {
  const frame = new Uint8Array((body.length < 256 ? 2 : MAX_HEADER) + body.length);
  frame.set(body, writeHeader(frame, 0, flags, body.length));
  return frame;
}

/** An upper bound for the bytes that `encodeBatch` needs for frames `[from, to)`. */
export function encodedBound(batch: Batch, from: number, to: number): number {
  const bodies = batch.ascending ? batch.ends[to - 1]! - batch.starts[from]! : batch.countBytes(from, to);
  return bodies + (to - from) * MAX_HEADER;
}

/**
 * Encodes the frames `[from, to)`. All of their buffer is copied at once to the end of the free space, and each body
 * moved down from there behind its header: `copyWithin` in one buffer costs a third of a `set` between two, which
 * needs a view for each message.
 *
 * @param target with room for `encodedBound` bytes at `at`
 * @returns the position behind the last frame
 */
export function encodeBatch(batch: Batch, from: number, to: number, target: Uint8Array, at: number): number {
  if (!batch.ascending || to - from === 1) return encodeEach(batch, from, to, target, at);
  const { starts, ends, flags, bytes } = batch;
  const first = starts[from]!;
  // Each body lands at or above its final place, as no header is longer than its share of the gap.
  const shift = at + (to - from) * MAX_HEADER - first;
  target.set(bytes.subarray(first, ends[to - 1]!), shift + first);
  for (let i = from; i < to; i++) {
    const start = starts[i]!;
    const end = ends[i]!;
    at = writeHeader(target, at, flags[i]!, end - start);
    target.copyWithin(at, start + shift, end + shift);
    at += end - start;
  }
  return at;
}

function encodeEach(batch: Batch, from: number, to: number, target: Uint8Array, at: number): number {
  const { starts, ends, flags, bytes } = batch;
  for (let i = from; i < to; i++) {
    const start = starts[i]!;
    const end = ends[i]!;
    at = writeHeader(target, at, flags[i]!, end - start);
    // For a short body a loop is faster than a view.
    if (end - start <= SHORT) { for (let from = start; from < end; from++) target[at++] = bytes[from]!; }
    else {
      target.set(bytes.subarray(start, end), at);
      at += end - start;
    }
  }
  return at;
}

/** Writes 32 bits, the most significant first. */
export function writeUint32(target: Uint8Array, at: number, value: number): void {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
}
