/** The size up to which the buffer for incomplete frames is kept, in bytes. */
const KEEP = 64 * 1024;

/** Receives the frames of a splitter. */
export interface FrameReceiver {
  /** Read after each frame: true makes the splitter keep further bytes until `resume`. */
  readonly overBacklog?: boolean;
}

/**
 * The base of decoders: finds frames under any chunking. A frame within one chunk is not copied; the parts of others are
 * collected in a buffer. The bytes after a frame at which the receiver is over its backlog are kept.
 */
export abstract class FrameSplitter<Receiver extends FrameReceiver> {
  /** Receives the frames. A new one takes effect with the next frame. */
  sink: Receiver;
  /** The number of bytes needed before an incomplete frame is examined again. */
  protected wanted = 0;

  /** The first bytes of an incomplete frame. */
  #carry: Uint8Array = NOTHING;
  #carried = 0;
  /** Bytes after the frame at which the receiver was over its backlog. */
  #held: Uint8Array | undefined;

  constructor(sink: Receiver) {
    this.sink = sink;
  }

  /** Whether the received bytes end at the end of a frame. */
  get idle(): boolean {
    return this.#carried === 0 && this.#held === undefined;
  }

  /** Whether bytes are kept because the receiver was over its backlog. */
  get holding(): boolean {
    return this.#held !== undefined;
  }

  /**
   * Processes the next bytes of the peer. After an error the position in the stream is lost: do not call `push` again.
   * Therefore a receiver throws only errors that close the connection.
   *
   * @throws the errors of the format, and those of the receiver
   */
  push(chunk: Uint8Array): void {
    if (this.#held !== undefined || this.#isStopped()) return this.#hold(chunk);
    let from = 0;
    if (this.#carried > 0) {
      do {
        const take = Math.min(this.wanted - this.#carried, chunk.length - from);
        this.#append(chunk, from, from + take);
        from += take;
        if (this.#carried < this.wanted) return;
      } while (this.scan(this.#carry, 0, this.#carried) === 0);
      this.#carried = 0;
      if (this.#carry.length > KEEP) this.#carry = NOTHING;
      if (this.#isStopped()) return this.#hold(chunk.subarray(from));
    }
    from = this.scan(chunk, from, chunk.length);
    if (this.#isStopped()) this.#hold(chunk.subarray(from));
    else this.#append(chunk, from, chunk.length);
  }

  /**
   * Processes the kept bytes, when the receiver has room again.
   *
   * @throws the errors of `push`
   */
  resume(): void {
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined) this.push(held);
  }

  /**
   * Reports the complete frames in `bytes[at, to)`, up to the one at which the receiver is over its backlog.
   *
   * @returns the position of the first frame that was not reported; `wanted` is set if it is incomplete
   */
  protected abstract scan(bytes: Uint8Array, at: number, to: number): number;

  #isStopped(): boolean {
    return this.sink.overBacklog === true;
  }

  /** Keeps bytes that arrive although the stream is paused. */
  #hold(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    const held = this.#held ?? NOTHING;
    this.#held = new Uint8Array(held.length + chunk.length);
    this.#held.set(held);
    this.#held.set(chunk, held.length);
  }

  #append(chunk: Uint8Array, from: number, to: number): void {
    if (from === to) return;
    const needed = this.#carried + to - from;
    if (needed > this.#carry.length) {
      // Doubles the buffer, or uses the exact size of the frame if that is close.
      const doubled = Math.max(needed, this.#carry.length * 2, 256);
      const grown = new Uint8Array(this.wanted <= doubled * 2 ? Math.max(this.wanted, needed) : doubled);
      grown.set(this.#carry.subarray(0, this.#carried));
      this.#carry = grown;
    }
    this.#carry.set(chunk.subarray(from, to), this.#carried);
    this.#carried = needed;
  }
}

const NOTHING = new Uint8Array(0);
