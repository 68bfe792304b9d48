/** Writes frames and their parts, for the encoder. All functions return the position after the last byte. */
import { BODY, FRAME_END, FRAME_HEAD, FRAME_OVERHEAD, HEADER } from "./frame.ts";
import { BASIC_CLASS } from "../methods.ts";
import { writeUint16, writeUint32, writeUint64 } from "../types/uint.ts";
import { copyBytes } from "../../bytes/frame_buffer.ts";

/** The size of the payload of a content header without the properties, in bytes. */
export const CONTENT_HEAD = 12;

/** Writes type, channel and size of a frame (AMQP 0-9-1, 4.2.3). */
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

/** Completes the frame that begins at `start` and whose payload ends at `at`: writes its head and its end. */
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

/** Writes a content header up to its properties (4.2.6.1), which have `propertiesSize` bytes. */
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

/** Returns the size of the body frames for a body of `size` bytes. */
export function sizeofBody(size: number, frameMax: number): number {
  return size + Math.ceil(size / (frameMax - FRAME_OVERHEAD)) * FRAME_OVERHEAD;
}

/** Writes body frames (4.2.6.2), each as large as `frameMax` allows; none for an empty body. */
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
