/** The first size of a buffer, and the largest size that is kept for the next block, in bytes. */
const FIRST = 4 * 1024;
const KEEP = 512 * 1024;
/** Blocks of the first size that no buffer uses: all buffers share them, so that an idle connection keeps none. */
const spares: Uint8Array[] = [];
const MAX_SPARES = 256;

/**
 * A growing output buffer, which is filled while the previous block is being written: `take` a block when the stream is
 * idle, write it, and `recycle` it when the stream has drained.
 */
export class FrameBuffer {
  /** The memory of the buffer; `reserve` and `take` may replace it. */
  bytes: Uint8Array = new Uint8Array(0);
  /** The number of bytes filled. */
  length = 0;
  #spare: Uint8Array | undefined;

  /** Makes room for `count` more bytes, and returns their position. Set `length` after writing them. */
  reserve(count: number): number {
    const needed = this.length + count;
    if (needed > this.bytes.length) this.#grow(needed);
    return this.length;
  }

  /** Appends encoded bytes. */
  append(bytes: Uint8Array, start = 0, end: number = bytes.length): void {
    const at = this.reserve(end - start);
    this.length = copyBytes(bytes, start, end, this.bytes, at);
  }

  /** Returns the filled bytes, and continues with another buffer. */
  take(): Uint8Array {
    const block = this.bytes.subarray(0, this.length);
    this.bytes = this.#spare ?? NOTHING;
    this.#spare = undefined;
    this.length = 0;
    return block;
  }

  /** Reuses the memory of a block from `take`, which must not be in use any more. */
  recycle(block: Uint8Array): void {
    if (block.buffer.byteLength > KEEP) return;
    const whole = new Uint8Array(block.buffer as ArrayBuffer);
    if (whole.length === FIRST) {
      if (spares.length < MAX_SPARES) spares.push(whole);
      return;
    }
    if (this.bytes.length === 0) this.bytes = whole;
    else this.#spare = whole;
  }

  #grow(needed: number): void {
    const isFirst = this.length === 0 && needed <= FIRST && this.bytes.length === 0;
    const grown = isFirst && spares.pop() || new Uint8Array(Math.max(needed, this.bytes.length * 2, FIRST));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }
}

const NOTHING = new Uint8Array(0);

/** Up to this size a loop is faster than the view that `set` needs, in bytes. */
const SMALL = 48;

/** Copies `source[start, end)` to `at`, and returns the position after it. */
export function copyBytes(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
): number {
  if (end - start > SMALL) {
    target.set(start === 0 && end === source.length ? source : source.subarray(start, end), at);
    return at + end - start;
  }
  for (let i = start; i < end; i++) target[at++] = source[i]!;
  return at;
}
