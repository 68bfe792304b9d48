import { concat } from "./bytes.ts";

/** Flags of a frame (RFC 37, 2.3). */
export const MORE = 1;
export const LONG = 2;
export const COMMAND = 4;

/**
 * A run of whole messages, as the positions of their frames in one buffer: what moves between the layers instead of
 * an object per message. Every message in a batch ends in it.
 */
export class Batch {
  /** The buffer that all positions refer to. */
  bytes: Uint8Array = NO_BYTES;
  /** True when nobody will write to `bytes` again, so that large bodies may be referred to instead of copied. */
  stable = false;
  /** How many frames there are. */
  frames = 0;
  /** How many messages there are: frames without MORE, commands left out. */
  messages = 0;
  /** How many of the frames are commands. */
  commands = 0;
  /** Whether the bodies lie in `bytes` in the order of their frames; a topic shared by all messages does not. */
  ascending = true;
  starts: Int32Array = new Int32Array(16);
  ends: Int32Array = new Int32Array(16);
  /** MORE and COMMAND of each frame. */
  flags: Uint8Array = new Uint8Array(16);

  clear(): void {
    this.frames = 0;
    this.messages = 0;
    this.commands = 0;
    this.ascending = true;
    // What one message of very many frames made large is given back.
    if (this.starts.length > KEEP_FRAMES) this.#allocate(16);
  }

  /** Appends a frame with the body `bytes[start, end)`. */
  add(start: number, end: number, flags: number): void {
    const at = this.frames++;
    if (at === this.starts.length) this.#grow();
    if (at > 0 && start < this.ends[at - 1]!) this.ascending = false;
    this.starts[at] = start;
    this.ends[at] = end;
    this.flags[at] = flags;
    if (flags === 0) this.messages++;
    else if ((flags & COMMAND) !== 0) this.commands++;
  }

  /** Takes the last `count` frames, which belong to a message that is not complete, back out. */
  dropLast(count: number): void {
    for (let i = 0; i < count; i++) {
      if ((this.flags[--this.frames]! & COMMAND) !== 0) this.commands--;
    }
  }

  /** A view of the body of frame `at`, valid as long as `bytes` is. */
  frame(at: number): Uint8Array {
    return this.bytes.subarray(this.starts[at], this.ends[at]);
  }

  /** The index behind the last frame of the message that begins at frame `from`. */
  messageEnd(from: number): number {
    while ((this.flags[from]! & MORE) !== 0) from++;
    return from + 1;
  }

  /** How many messages end in the frames `[from, to)`. */
  countMessages(from: number, to: number): number {
    if (from === 0 && to === this.frames) return this.messages;
    let count = 0;
    for (let i = from; i < to; i++) if (this.flags[i] === 0) count++;
    return count;
  }

  /** How many bytes the bodies of the frames `[from, to)` have. */
  countBytes(from: number, to: number): number {
    let bytes = 0;
    for (let i = from; i < to; i++) bytes += this.ends[i]! - this.starts[i]!;
    return bytes;
  }

  /** The frame behind the first `count` messages from frame `from` on, or the end. */
  skipMessages(from: number, count: number): number {
    // Messages of one frame, the common case, need no walk.
    if (this.messages === this.frames) return Math.min(from + count, this.frames);
    for (; count > 0 && from < this.frames; count--) from = this.messageEnd(from);
    return from;
  }

  /** The frames `[from, to)` as a batch of its own that shares the buffer. */
  slice(from: number, to: number): Batch {
    const part = new Batch();
    part.bytes = this.bytes;
    part.stable = this.stable;
    for (let i = from; i < to; i++) part.add(this.starts[i]!, this.ends[i]!, this.flags[i]!);
    return part;
  }

  /** The messages from frame `from` on as a batch that outlives the call in which this one is valid. */
  own(from: number): Batch {
    const part = this.slice(from, this.frames);
    if (this.stable || part.frames === 0) return part;
    let first = part.bytes.length;
    let last = 0;
    for (let i = 0; i < part.frames; i++) {
      first = Math.min(first, part.starts[i]!);
      last = Math.max(last, part.ends[i]!);
    }
    part.bytes = this.bytes.slice(first, last);
    part.stable = true;
    for (let i = 0; i < part.frames; i++) {
      part.starts[i]! -= first;
      part.ends[i]! -= first;
    }
    return part;
  }

  /** The frames `[from, to)` as copies of their own. */
  copy(from: number, to: number): Uint8Array[] {
    const copies = new Array<Uint8Array>(to - from);
    for (let at = from; at < to; at++) copies[at - from] = this.bytes.slice(this.starts[at], this.ends[at]);
    return copies;
  }

  /** A batch of messages, whose frames are copied into one buffer. */
  static ofMessages(messages: readonly (readonly Uint8Array[])[]): Batch {
    const batch = new Batch();
    batch.bytes = concat(messages.flat());
    batch.stable = true;
    let at = 0;
    for (const frames of messages) {
      frames.forEach((frame, index) => {
        batch.add(at, at + frame.length, index < frames.length - 1 ? MORE : 0);
        at += frame.length;
      });
    }
    return batch;
  }

  /** A batch of one message; the frames are copied into one buffer, and a single one is referred to. */
  static of(frames: readonly Uint8Array[]): Batch {
    const batch = new Batch();
    let length = 0;
    for (const frame of frames) length += frame.length;
    const single = frames.length === 1 ? frames[0] : undefined;
    batch.bytes = single ?? new Uint8Array(length);
    batch.stable = true;
    let at = 0;
    frames.forEach((frame, index) => {
      if (single === undefined) batch.bytes.set(frame, at);
      batch.add(at, at + frame.length, index < frames.length - 1 ? MORE : 0);
      at += frame.length;
    });
    return batch;
  }

  #grow(): void {
    const { starts, ends, flags } = this;
    this.#allocate(starts.length * 2);
    this.starts.set(starts);
    this.ends.set(ends);
    this.flags.set(flags);
  }

  #allocate(size: number): void {
    this.starts = new Int32Array(size);
    this.ends = new Int32Array(size);
    this.flags = new Uint8Array(size);
  }
}

/** More frames than the largest read has. */
const KEEP_FRAMES = 2 ** 18;

const NO_BYTES = new Uint8Array(0);
