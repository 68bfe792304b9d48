import type { Lease } from "./buffers.ts";
import { concat } from "./bytes.ts";

/** Flag of a frame: another frame of the same message follows (RFC 37, 2.3). */
export const MORE = 1;
/** Flag of a frame: its length has 64 bits instead of 8 (RFC 37, 2.3). */
export const LONG = 2;
/** Flag of a frame: it is a command, not a message (RFC 37, 2.3). */
export const COMMAND = 4;

/**
 * A sequence of complete messages: the positions of their frames in one shared buffer. The layers of the library pass
 * batches to each other, so that a message needs no object of its own.
 *
 * The batch that a socket passes to a callback is valid during the call only: call `own` or `copy` to keep messages.
 *
 * @example Read the messages of a batch
 * ```ts
 * import { Batch } from "../../mod.ts";
 * const encoder = new TextEncoder();
 * const batch = Batch.ofMessages([
 *   [encoder.encode("topic"), encoder.encode("one")],
 *   [encoder.encode("topic"), encoder.encode("two")],
 * ]);
 * const bodies: string[] = [];
 * for (let from = 0; from < batch.frames; from = batch.messageEnd(from)) {
 *   bodies.push(new TextDecoder().decode(batch.frame(from + 1)));
 * }
 * console.assert(bodies.join() === "one,two");
 * ```
 */
export class Batch {
  /** The buffer that contains the bodies of all frames. */
  bytes: Uint8Array = NO_BYTES;
  /** Whether the contents of `bytes` will never change. Large bodies of a stable batch are referred to, not copied. */
  stable = false;
  /**
   * Set if `bytes` are not stable, but stay as they are while the lease has users. Large bodies are referred to meanwhile.
   *
   * @ignore
   */
  lease: Lease | undefined;
  /** The number of frames. */
  frames = 0;
  /** The number of messages: frames without MORE that are not commands. */
  messages = 0;
  /** The number of frames that are commands. */
  commands = 0;
  /** Whether the bodies are in `bytes` in the order of their frames. False if messages share a frame, as a topic. */
  ascending = true;
  /** The index in `bytes` of the first byte of each frame's body. Only the first `frames` elements are valid. */
  starts: Int32Array = new Int32Array(16);
  /** The index in `bytes` after the last byte of each frame's body. Only the first `frames` elements are valid. */
  ends: Int32Array = new Int32Array(16);
  /** The flags of each frame: 1 (MORE) or 4 (COMMAND), or 0 for the last frame of a message. */
  flags: Uint8Array = new Uint8Array(16);

  /** Removes all frames. */
  clear(): void {
    this.frames = 0;
    this.messages = 0;
    this.commands = 0;
    this.ascending = true;
    // One message with very many frames made the arrays large: release that memory.
    if (this.starts.length > KEEP_FRAMES) this.#allocate(16);
  }

  /**
   * Appends a frame.
   *
   * @param start the index in `bytes` of the first byte of the body
   * @param end the index in `bytes` after the last byte of the body
   * @param flags 1 (MORE) or 4 (COMMAND), or 0 for the last frame of a message
   */
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

  /**
   * Removes the last frames, which belong to a message that is not complete.
   *
   * @param count the number of frames
   */
  dropLast(count: number): void {
    for (let i = 0; i < count; i++) {
      if ((this.flags[--this.frames]! & COMMAND) !== 0) this.commands--;
    }
  }

  /**
   * Returns the body of a frame.
   *
   * @param at the index of the frame
   * @returns a view into `bytes`, valid as long as `bytes` is valid
   */
  frame(at: number): Uint8Array {
    return this.bytes.subarray(this.starts[at], this.ends[at]);
  }

  /**
   * Finds the end of a message.
   *
   * @param from the index of the first frame of the message
   * @returns the index after its last frame
   */
  messageEnd(from: number): number {
    while ((this.flags[from]! & MORE) !== 0) from++;
    return from + 1;
  }

  /**
   * Counts the messages that end within the frames `[from, to)`.
   *
   * @param from the index of the first frame
   * @param to the index after the last frame
   * @returns the number of messages
   */
  countMessages(from: number, to: number): number {
    if (from === 0 && to === this.frames) return this.messages;
    if (this.messages === this.frames) return to - from;
    let count = 0;
    for (let i = from; i < to; i++) if (this.flags[i] === 0) count++;
    return count;
  }

  /**
   * Adds up the lengths of the bodies of the frames `[from, to)`.
   *
   * @param from the index of the first frame
   * @param to the index after the last frame
   * @returns the sum, in bytes
   */
  countBytes(from: number, to: number): number {
    let bytes = 0;
    for (let i = from; i < to; i++) bytes += this.ends[i]! - this.starts[i]!;
    return bytes;
  }

  /**
   * Skips messages.
   *
   * @param from the index of the first frame of a message
   * @param count the number of messages to skip
   * @returns the index of the frame after them, at most `frames`
   */
  skipMessages(from: number, count: number): number {
    // Fast path for the common case: every message has one frame.
    if (this.messages === this.frames) return Math.min(from + count, this.frames);
    for (; count > 0 && from < this.frames; count--) from = this.messageEnd(from);
    return from;
  }

  /**
   * Makes a batch of the frames `[from, to)` that shares the buffer.
   *
   * @param from the index of the first frame
   * @param to the index after the last frame
   * @returns the new batch, valid as long as `bytes` is valid
   */
  slice(from: number, to: number): Batch {
    const part = new Batch();
    part.bytes = this.bytes;
    part.stable = this.stable;
    part.lease = this.lease;
    for (let i = from; i < to; i++) part.add(this.starts[i]!, this.ends[i]!, this.flags[i]!);
    return part;
  }

  /**
   * Makes a batch that stays valid: the bytes are copied unless this batch is stable.
   *
   * @param from the index of the first frame to keep, which begins a message
   * @returns a stable batch of all messages from there on
   */
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
    part.lease = undefined;
    for (let i = 0; i < part.frames; i++) {
      part.starts[i]! -= first;
      part.ends[i]! -= first;
    }
    return part;
  }

  /**
   * Copies frames, each into an array of its own.
   *
   * @param from the index of the first frame
   * @param to the index after the last frame
   * @returns the bodies of the frames
   */
  copy(from: number, to: number): Uint8Array[] {
    const copies = new Array<Uint8Array>(to - from);
    for (let at = from; at < to; at++) copies[at - from] = this.bytes.slice(this.starts[at], this.ends[at]);
    return copies;
  }

  /**
   * Makes a batch of messages. The frames are copied into one buffer.
   *
   * @param messages the frames of each message, at least one per message
   * @returns a stable batch
   */
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

  /**
   * Makes a batch of one message. Several frames are copied into one buffer; a single frame is referred to, and its
   * bytes must not change.
   *
   * @param frames the frames of the message, at least one
   * @returns a stable batch
   */
  static of(frames: readonly Uint8Array[]): Batch {
    const batch = new Batch();
    batch.assign(frames);
    return batch;
  }

  /**
   * Replaces the contents by one message. Several frames are copied into one buffer; a single frame is referred to, and
   * its bytes must not change.
   *
   * @param frames the frames of the message, at least one
   */
  assign(frames: readonly Uint8Array[]): void {
    this.clear();
    this.stable = true;
    const last = frames.length - 1;
    this.bytes = last === 0 ? frames[0]! : concat(frames);
    let at = 0;
    for (let i = 0; i <= last; i++) {
      const { length } = frames[i]!;
      this.add(at, at + length, i < last ? MORE : 0);
      at += length;
    }
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

/** Arrays of at most this many elements are kept: more than the largest read has frames. */
const KEEP_FRAMES = 2 ** 18;

const NO_BYTES = new Uint8Array(0);
