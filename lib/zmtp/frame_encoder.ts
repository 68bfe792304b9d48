import { type Batch, COMMAND, LONG } from "./batch.ts";

/** A body up to this length is copied byte by byte, in bytes: `set` costs more. */
const SHORT = 64;
/** The same where `copyWithin` can move it. */
const SHORT_MOVE = 24;
/** The length of the largest frame header, in bytes: flags and a 64-bit length. */
export const MAX_HEADER = 9;

/**
 * Writes a frame header (RFC 37, 2.3).
 *
 * @param flags MORE, COMMAND or 0; LONG is added if the length requires it
 * @param length the length of the body, in bytes
 * @returns the index after the header
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

/** Encodes a command frame: the name's length, the name, the data (RFC 37, 2.4). */
export function encodeCommand(name: string, data: Uint8Array): Uint8Array {
  const length = 1 + name.length + data.length;
  const frame = new Uint8Array((length < 256 ? 2 : MAX_HEADER) + length);
  let at = writeHeader(frame, 0, COMMAND, length);
  frame[at++] = name.length;
  for (let i = 0; i < name.length; i++) frame[at++] = name.charCodeAt(i);
  frame.set(data, at);
  return frame;
}

/** Encodes one frame; without flags, it is a complete message. */
export function encodeFrame(body: Uint8Array, flags = 0): Uint8Array {
  const frame = new Uint8Array((body.length < 256 ? 2 : MAX_HEADER) + body.length);
  frame.set(body, writeHeader(frame, 0, flags, body.length));
  return frame;
}

/** An upper bound for the number of bytes that `encodeBatch` needs for the frames `[from, to)`. */
export function encodedBound(batch: Batch, from: number, to: number): number {
  const bodies = batch.ascending ? batch.ends[to - 1]! - batch.starts[from]! : batch.countBytes(from, to);
  return bodies + (to - from) * MAX_HEADER;
}

/**
 * Encodes the frames `[from, to)`. One call copies all bodies to the end of the free space. Then each body moves down to
 * its place after its header: `copyWithin` in one buffer costs a third of a `set` between two buffers, which needs a view
 * per message.
 *
 * @param target a buffer with room for `encodedBound` bytes at `at`
 * @returns the index after the last frame
 */
export function encodeBatch(batch: Batch, from: number, to: number, target: Uint8Array, at: number): number {
  if (!batch.ascending || to - from === 1) return encodeEach(batch, from, to, target, at);
  const { starts, ends, flags, bytes } = batch;
  const first = starts[from]!;
  // Each body is copied to or above its final place, because no header is longer than MAX_HEADER.
  const shift = at + (to - from) * MAX_HEADER - first;
  target.set(bytes.subarray(first, ends[to - 1]!), shift + first);
  for (let i = from; i < to; i++) {
    const start = starts[i]!;
    const end = ends[i]!;
    at = writeHeader(target, at, flags[i]!, end - start);
    if (end - start <= SHORT_MOVE) { for (let from = start; from < end; from++) target[at++] = bytes[from]!; }
    else {
      target.copyWithin(at, start + shift, end + shift);
      at += end - start;
    }
  }
  return at;
}

function encodeEach(batch: Batch, from: number, to: number, target: Uint8Array, at: number): number {
  const { starts, ends, flags, bytes } = batch;
  for (let i = from; i < to; i++) {
    const start = starts[i]!;
    const end = ends[i]!;
    at = copyBody(bytes, start, end, target, writeHeader(target, at, flags[i]!, end - start));
  }
  return at;
}

/**
 * Copies `bytes[start, end)` to `target` at `at`.
 *
 * @returns the index after the copy
 */
export function copyBody(
  bytes: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
): number {
  // For a short body, a loop is faster than a view.
  if (end - start <= SHORT) { for (let from = start; from < end; from++) target[at++] = bytes[from]!; }
  else {
    target.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), at);
    at += end - start;
  }
  return at;
}

/** Writes an unsigned 32-bit integer in big-endian order. */
export function writeUint32(target: Uint8Array, at: number, value: number): void {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
}
