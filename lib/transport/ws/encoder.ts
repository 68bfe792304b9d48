import {
  BINARY,
  headerLength,
  MAX_HEADER,
  nextMask,
  readLength,
  writeHeader,
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
    const last = target.length - MAX_HEADER - 1;
    while (next < source.length) {
      if (this.#left > 0) {
        const count = Math.min(this.#left, source.length - next, target.length - at);
        if (count === 0) break;
        target.set(source.subarray(next, next + count), at);
        if (this.#masks) xor(target, at, at + count, this.#mask, this.#phase);
        this.#phase += count;
        this.#left -= count;
        next += count;
        at += count;
      } else {
        if (at > last) break;
        next = this.#readHeader(source, next);
        if (this.#headerLength === this.#wanted) at = this.#begin(target, at);
      }
    }
    this.consumed = next - from;
    this.produced = at;
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
    const zws = ((flags & ZMTP_MORE) === 0 ? 0 : ZWS_MORE) | ((flags & ZMTP_COMMAND) === 0 ? 0 : ZWS_COMMAND);
    target[at] = this.#masks ? zws ^ this.#mask >>> 24 : zws;
    return at + 1;
  }
}
