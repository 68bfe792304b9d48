import { BINARY, CONTINUATION, FIN, headerLength, MAX_HEADER, nextMask, writeHeader, xor } from "./frame.ts";

/**
 * Turns each write of a stream of bytes into one binary message, in fragments if it is large: what is written at once,
 * such as whole frames of a protocol, is in one message for receivers that expect that.
 */
export class BytesEncoder {
  /** How many bytes of the source, and of the target, the last call used. */
  consumed = 0;
  produced = 0;

  readonly #masks: boolean;

  /** @param masks whether frames are masked: by a client */
  constructor(masks: boolean) {
    this.#masks = masks;
  }

  /**
   * Encodes as much of `source`, from position `from`, as fits into `target`.
   *
   * @param target must be larger than `MAX_HEADER` bytes
   */
  encode(source: Uint8Array, from: number, target: Uint8Array): void {
    const count = Math.min(source.length - from, target.length - MAX_HEADER);
    const mask = this.#masks ? nextMask() : -1;
    const at = writeHeader(target, 0, from === 0 ? BINARY : CONTINUATION, count, mask);
    if (from + count < source.length) target[0]! &= ~FIN;
    target.set(source.subarray(from, from + count), at);
    if (this.#masks) xor(target, at, at + count, mask, 0);
    this.consumed = count;
    this.produced = at + count;
  }

  /** How many bytes of the source the first `taken` bytes of the last call's result contain. */
  consumedWithin(_source: Uint8Array, _from: number, taken: number): number {
    return Math.min(this.consumed, Math.max(0, taken - headerLength(this.consumed, this.#masks)));
  }
}
