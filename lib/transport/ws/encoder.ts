import {
  BINARY,
  headerLength,
  MASKED,
  MAX_HEADER,
  nextMask,
  readLength,
  SHORT,
  wordsOf,
  writeHeader,
  writeUint32,
  xor,
  ZMTP_COMMAND,
  ZMTP_LONG,
  ZMTP_MORE,
  ZWS_COMMAND,
  ZWS_MORE,
} from "./frame.ts";

/** The largest header of a ZMTP frame: flags and a 64-bit length. */
const MAX_ZMTP_HEADER = 9;

/**
 * Turns a stream of ZMTP frames into one of WebSocket messages, a message for each frame (RFC 45), however the stream
 * is cut. The messages are encoded back to back, so many small frames make one large write.
 */
export class ZwsEncoder {
  /** How many bytes of the source, and of the target, the last call used. */
  consumed = 0;
  produced = 0;

  readonly #masks: boolean;
  /** The part of a frame's header that has been read. */
  readonly #header = new Uint8Array(MAX_ZMTP_HEADER);
  #headerLength = 0;
  /** The rest of the current body, its mask, and how many bytes of its message are encoded. */
  #left = 0;
  #mask = -1;
  #phase = 0;
  /** The last target, as words. */
  #target: Uint8Array | undefined;
  #words: Uint32Array = new Uint32Array(0);
  /** At the beginning of the last call: the rest of the current body, and whether a header was incomplete. */
  #leftBefore = 0;
  #cutBefore = false;

  /** @param masks whether frames are masked: by a client */
  constructor(masks: boolean) {
    this.#masks = masks;
  }

  /**
   * Encodes as much of `source`, from position `from`, as fits into `target`.
   *
   * @param target must be a little larger than `MAX_HEADER` bytes
   */
  encode(source: Uint8Array, from: number, target: Uint8Array): void {
    let at = 0;
    let next = from;
    this.#leftBefore = this.#left;
    this.#cutBefore = this.#headerLength > 0;
    if (this.#target !== target) {
      this.#target = target;
      this.#words = wordsOf(target);
    }
    const last = target.length - MAX_HEADER - 1;
    while (next < source.length) {
      if (this.#left > 0) {
        const count = Math.min(this.#left, source.length - next, target.length - at);
        if (count === 0) break;
        target.set(source.subarray(next, next + count), at);
        if (this.#masks) xor(target, at, at + count, this.#mask, this.#phase, this.#words);
        this.#phase += count;
        this.#left -= count;
        next += count;
        at += count;
      } else {
        if (this.#headerLength === 0) {
          next = this.#encodeWhole(source, next, target, at);
          at = this.produced;
        }
        if (next === source.length || at > last) break;
        next = this.#readHeader(source, next);
        if (this.#headerLength === this.#wanted) at = this.#begin(target, at);
      }
    }
    this.consumed = next - from;
    this.produced = at;
  }

  /**
   * Encodes the complete short frames from `next` on that fit into `target` after `at`, and sets `produced`. One call copies
   * them all into the target. Then each body moves down to its place, and is masked there: this costs a fraction of a
   * copy between two arrays per frame, which needs a view.
   *
   * @returns the position in `source` after the last of them
   */
  #encodeWhole(source: Uint8Array, next: number, target: Uint8Array, at: number): number {
    const masks = this.#masks;
    const room = target.length - at;
    let end = next;
    // A frame may become longer or shorter. The copies begin so far up that no frame is overwritten before it is read.
    let span = 0;
    for (;;) {
      const isLong = (source[end]! & ZMTP_LONG) !== 0;
      const body = end + (isLong ? MAX_ZMTP_HEADER : 2);
      if (body > source.length) break;
      const length = isLong ? readLength(source, end + 1, 8) : source[end + 1]!;
      if (length > SHORT || body + length > source.length) break;
      const wider = Math.max(body + length - end, headerLength(1 + length, masks) + 1 + length);
      if (span + wider > room) break;
      span += wider;
      end = body + length;
    }
    this.produced = at;
    if (end === next) return next;
    const to = at + span;
    let from = to - (end - next);
    target.set(source.subarray(next, end), from);
    while (from < to) {
      const flags = target[from]!;
      const isLong = (flags & ZMTP_LONG) !== 0;
      const length = isLong ? readLength(target, from + 1, 8) : target[from + 1]!;
      from += isLong ? MAX_ZMTP_HEADER : 2;
      const header = at;
      at = writeHeader(target, at, BINARY, 1 + length, -1);
      // As a signed integer, a mask needs no object of its own.
      const mask = masks ? nextMask() | 0 : 0;
      if (masks) {
        target[header + 1]! |= MASKED;
        at = writeUint32(target, at, mask);
      }
      target.copyWithin(at + 1, from, from + length);
      target[at] = zwsFlags(flags);
      from += length;
      if (masks) xor(target, at, at + 1 + length, mask, 0, this.#words);
      at += 1 + length;
    }
    this.produced = at;
    return end;
  }

  /**
   * How many bytes of the source, in whole frames, the first `taken` bytes of the last call's result contain.
   */
  consumedWithin(source: Uint8Array, from: number, taken: number): number {
    if (this.#cutBefore || taken < this.#leftBefore) return 0;
    let at = from + this.#leftBefore;
    let left = taken - this.#leftBefore;
    for (;;) {
      const isLong = (source[at]! & ZMTP_LONG) !== 0;
      const body = at + (isLong ? MAX_ZMTP_HEADER : 2);
      if (body > source.length) return at - from;
      const length = isLong ? readLength(source, at + 1, 8) : source[at + 1]!;
      left -= headerLength(1 + length, this.#masks) + 1 + length;
      if (left < 0 || body + length > source.length) return at - from;
      at = body + length;
    }
  }

  get #wanted(): number {
    if (this.#headerLength === 0) return 2;
    return (this.#header[0]! & ZMTP_LONG) === 0 ? 2 : MAX_ZMTP_HEADER;
  }

  #readHeader(source: Uint8Array, at: number): number {
    while (at < source.length && this.#headerLength < this.#wanted) {
      this.#header[this.#headerLength++] = source[at++]!;
    }
    return at;
  }

  #begin(target: Uint8Array, at: number): number {
    const header = this.#header;
    const flags = header[0]!;
    this.#headerLength = 0;
    this.#left = (flags & ZMTP_LONG) === 0 ? header[1]! : readLength(header, 1, 8);
    this.#mask = this.#masks ? nextMask() : -1;
    this.#phase = 1;
    at = writeHeader(target, at, BINARY, 1 + this.#left, this.#mask);
    const zws = zwsFlags(flags);
    target[at] = this.#masks ? zws ^ this.#mask >>> 24 : zws;
    return at + 1;
  }
}

function zwsFlags(zmtp: number): number {
  return ((zmtp & ZMTP_MORE) === 0 ? 0 : ZWS_MORE) | ((zmtp & ZMTP_COMMAND) === 0 ? 0 : ZWS_COMMAND);
}
