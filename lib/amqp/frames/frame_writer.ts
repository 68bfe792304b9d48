/** Frames and their parts in bytes, for the encoder. All functions return the position behind what they wrote. */
import { BODY, FRAME_END, FRAME_HEAD, FRAME_OVERHEAD, HEADER } from "./frame.ts";
import { BASIC_CLASS } from "../methods.ts";
import { writeUint16, writeUint32, writeUint64 } from "../types/uint.ts";
import { copyBytes } from "./frame_buffer.ts";

/** What the payload of a content header has besides the properties, in bytes. */
export const CONTENT_HEAD = 12;

/** Type, channel and size of a frame (AMQP 0-9-1, 4.2.3). */
export function writeFrameHead(
  target: Uint8Array,
  at: number,
  type: number,
  channel: number,
  size: number,
): number {
  target[at] = type;
  writeUint16(target, at + 1, channel);
  return writeUint32(target, at + 3, size);
}

/** Ends the frame that begins at `start` and whose payload ends at `at`: its head is written now. */
export function closeFrame(
  target: Uint8Array,
  start: number,
  type: number,
  channel: number,
  at: number,
): number {
  writeFrameHead(target, start, type, channel, at - start - FRAME_HEAD);
  target[at] = FRAME_END;
  return at + 1;
}

/** A content header up to the properties (4.2.6.1), which have `propertiesSize` bytes. */
export function writeContentHead(
  target: Uint8Array,
  at: number,
  channel: number,
  propertiesSize: number,
  bodySize: number,
): number {
  at = writeFrameHead(target, at, HEADER, channel, CONTENT_HEAD + propertiesSize);
  at = writeUint32(target, at, BASIC_CLASS << 16);
  return writeUint64(target, at, bodySize);
}

/** How many bytes the body frames take for a body of `size` bytes. */
export function sizeofBody(size: number, frameMax: number): number {
  return size + Math.ceil(size / (frameMax - FRAME_OVERHEAD)) * FRAME_OVERHEAD;
}

/** Body frames (4.2.6.2), each as large as `frameMax` allows; none for an empty body. */
export function writeBody(
  target: Uint8Array,
  at: number,
  channel: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  frameMax: number,
): number {
  while (start < end) {
    const next = Math.min(end, start + frameMax - FRAME_OVERHEAD);
    at = writeFrameHead(target, at, BODY, channel, next - start);
    at = copyBytes(bytes, start, next, target, at);
    target[at++] = FRAME_END;
    start = next;
  }
  return at;
}
