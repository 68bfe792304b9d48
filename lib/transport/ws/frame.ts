/** Frames of the WebSocket protocol (RFC 6455, 5), and the flags of ZeroMQ's messages in them (RFC 45). */

export const CONTINUATION = 0;
export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;
export const FIN = 0x80;
export const MASKED = 0x80;
/** The largest payload of a control frame, in bytes (RFC 6455, 5.5). */
export const MAX_CONTROL = 125;
/** The largest header: two bytes, a 64-bit length and a mask. */
export const MAX_HEADER = 14;
/** Messages in one frame up to this size are copied many at a time, in bytes. */
export const SHORT = 4096;

/** Reasons of a Close frame (RFC 6455, 7.4.1). */
export const NORMAL = 1000;
export const PROTOCOL_ERROR = 1002;
export const TOO_BIG = 1009;

/** Flags of a frame in ZMTP (RFC 37, 2.3). */
export const ZMTP_MORE = 1;
export const ZMTP_LONG = 2;
export const ZMTP_COMMAND = 4;
/** Flags of a frame in ZWS (RFC 45, "Framing"). */
export const ZWS_MORE = 1;
export const ZWS_COMMAND = 2;

/** Random masks, drawn many at a time: each frame of a client needs a fresh one (RFC 6455, 5.3). */
const masks = new Uint32Array(1024);
let masksUsed = masks.length;

/** Returns a fresh mask; its first byte is in the highest bits. */
export function nextMask(): number {
  if (masksUsed === masks.length) {
    crypto.getRandomValues(masks);
    masksUsed = 0;
  }
  return masks[masksUsed++]!;
}

/**
 * Writes the header of a final frame (RFC 6455, 5.2).
 *
 * @param length the length of the payload, in bytes
 * @param mask the mask of a client; -1 for a server, which does not mask
 * @returns the position after it
 */
export function writeHeader(
  target: Uint8Array,
  at: number,
  opcode: number,
  length: number,
  mask: number,
): number {
  const masked = mask < 0 ? 0 : MASKED;
  target[at++] = FIN | opcode;
  if (length < 126) target[at++] = masked | length;
  else if (length < 0x10000) {
    target[at++] = masked | 126;
    target[at++] = length >>> 8;
    target[at++] = length;
  } else {
    target[at++] = masked | 127;
    at = writeUint32(target, at, Math.floor(length / 0x100000000));
    at = writeUint32(target, at, length % 0x100000000);
  }
  return mask < 0 ? at : writeUint32(target, at, mask);
}

/** The length of the header of a frame, in bytes. */
export function headerLength(payload: number, masked: boolean): number {
  return (payload < 126 ? 2 : payload < 0x10000 ? 4 : 10) + (masked ? 4 : 0);
}

/** Encodes a control frame. */
export function controlFrame(opcode: number, payload: Uint8Array, masks: boolean): Uint8Array {
  const frame = new Uint8Array(2 + (masks ? 4 : 0) + payload.length);
  const mask = masks ? nextMask() : -1;
  const at = writeHeader(frame, 0, opcode, payload.length, mask);
  frame.set(payload, at);
  if (masks) xor(frame, at, frame.length, mask, 0);
  return frame;
}

/** Encodes a Close frame; a reason over 123 bytes is cut. */
export function closeFrame(code: number, reason: string, masks: boolean): Uint8Array {
  const words = new TextEncoder().encode(reason).subarray(0, MAX_CONTROL - 2);
  const payload = new Uint8Array(2 + words.length);
  payload[0] = code >>> 8;
  payload[1] = code;
  payload.set(words, 2);
  return controlFrame(CLOSE, payload, masks);
}

/** The whole buffer of an array as 32-bit words, without the bytes at the end that do not fill a word. */
export function wordsOf({ buffer }: Uint8Array): Uint32Array {
  return new Uint32Array(buffer, 0, buffer.byteLength >>> 2);
}

/**
 * Masks, or unmasks, `bytes[from, to)` in place (RFC 6455, 5.3).
 *
 * @param phase how many bytes of the payload lie before `from`
 * @param words the result of `wordsOf(bytes)`; a caller that masks many frames in one buffer keeps it
 */
export function xor(
  bytes: Uint8Array,
  from: number,
  to: number,
  mask: number,
  phase: number,
  words: Uint32Array = wordsOf(bytes),
): void {
  const { byteOffset } = bytes;
  let key = rotate(mask, phase & 3);
  for (; from < to && ((byteOffset + from) & 3) !== 0; from++) {
    bytes[from]! ^= key >>> 24;
    key = rotate(key, 1);
  }
  const last = (byteOffset + to) >>> 2;
  const word = LITTLE_ENDIAN ? swap(key) : key;
  for (let i = (byteOffset + from) >>> 2; i < last; i++) words[i]! ^= word;
  for (from = Math.max(from, last * 4 - byteOffset); from < to; from++) {
    bytes[from]! ^= key >>> 24;
    key = rotate(key, 1);
  }
}

const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

function rotate(mask: number, bytes: number): number {
  return bytes === 0 ? mask : mask << (8 * bytes) | mask >>> (32 - 8 * bytes);
}

function swap(word: number): number {
  return word << 24 | (word & 0xff00) << 8 | (word >>> 8 & 0xff00) | word >>> 24;
}

/** Writes 32 bits in network order; returns the position after them. */
export function writeUint32(target: Uint8Array, at: number, value: number): number {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
  return at + 4;
}

/** Reads an unsigned length of 2, 4 or 8 bytes; a value over 2^53-1 loses precision, but it is over every limit anyway. */
export function readLength(bytes: Uint8Array, at: number, size: number): number {
  if (size === 2) return bytes[at]! << 8 | bytes[at + 1]!;
  const first = (bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!) >>> 0;
  return size === 4 ? first : first * 0x100000000 + readLength(bytes, at + 4, 4);
}
