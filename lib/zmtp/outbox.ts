import { Batch, MORE } from "./batch.ts";
import { BufferPool, type Lease } from "./buffers.ts";
import { concat } from "./bytes.ts";
import { ZmtpFrameDecoder } from "./frame_decoder.ts";
import { copyBody, encodeBatch, encodedBound, MAX_HEADER, writeHeader } from "./frame_encoder.ts";
import type { Cipher } from "./mechanisms/mechanism.ts";

/** The size of a full block of encoded frames, in bytes. One block is one write. */
const BLOCK = 256 * 1024;
/** The size of the block of a connection with little traffic, in bytes. */
const SMALL_BLOCK = 4 * 1024;
/** Messages of at least this length together get a full block at once, in bytes. */
const MIN_STREAM = 8 * 1024;
/** The buffers of all connections. */
const fullBuffers = new BufferPool(BLOCK, 16);
const smallBuffers = new BufferPool(SMALL_BLOCK, 64);
/** A body of at least this size in a stable buffer is referred to instead of copied, in bytes. */
const LARGE_BODY = 32 * 1024;
/** The same for a leased buffer: a copy costs less than a write of its own, and frees the buffer while it is in the cache. */
const LARGE_LEASED_BODY = 256 * 1024;

/** The limit for queued commands, which no high-water mark counts, in bytes. */
const MAX_COMMANDS = 32 * 1024 * 1024;

interface Block {
  bytes: Uint8Array;
  length: number;
  messages: number;
  /** Whether the end of the block is the end of a message. */
  whole: boolean;
  /** Whether frames may be appended: the buffer belongs to this outbox. */
  own: boolean;
  /** Set if the buffer is used by reference, and filled again later. */
  lease: Lease | undefined;
}

/** The limits of the queue for one peer. */
export interface OutboxLimits {
  /** The high-water mark, in messages. */
  readonly messages: number;
  /** The high-water mark in bytes. */
  readonly bytes: number;
  /** Whether only the newest message is kept: it replaces the one before, and the high-water marks have no effect. */
  readonly conflate?: boolean;
}

/**
 * The encoded frames that wait to be written to one peer. While one block is being written, the next block fills: many
 * small messages become one large write.
 */
export class Outbox {
  readonly #limits: OutboxLimits;
  readonly #write: (bytes: Uint8Array) => void;
  readonly #cipher: Cipher | undefined;
  #blocks: Block[] = [];
  #flight: Block | undefined;
  /** Written blocks of a message whose end is not written yet. */
  #unfinished: Block[] = [];
  #messages = 0;
  #bytes = 0;
  #written = 0;
  /** With `conflate`: a copy of the message that waits. */
  #newest: Batch | undefined;

  /**
   * @param write writes one block; the block is in use until `onDrain`
   * @param cipher encrypts each block when it is written, not earlier: waiting messages can still go to another peer
   */
  constructor(limits: OutboxLimits, write: (bytes: Uint8Array) => void, cipher?: Cipher) {
    this.#limits = limits;
    this.#write = write;
    this.#cipher = cipher;
  }

  /** The number of messages that may be appended. The last one may exceed the limit in bytes. */
  get room(): number {
    if (this.conflates) return Infinity;
    return this.#bytes >= this.#limits.bytes ? 0 : Math.max(0, this.#limits.messages - this.#messages);
  }

  /** Whether so many commands wait that the peer cannot be reading. */
  get overfull(): boolean {
    return this.#bytes > this.#limits.bytes + MAX_COMMANDS;
  }

  /** The number of messages that the operating system has not accepted completely. */
  get unsent(): number {
    return this.#messages + (this.#flight?.messages ?? 0) + (this.#newest === undefined ? 0 : 1);
  }

  /** The number of messages that the operating system has accepted completely. */
  get written(): number {
    return this.#written;
  }

  /** Whether only the newest message is kept. */
  get conflates(): boolean {
    return this.#limits.conflate ?? false;
  }

  /** Whether the operating system has accepted everything. */
  get empty(): boolean {
    return this.#flight === undefined && this.#blocks.length === 0 && this.#newest === undefined;
  }

  /** Appends the frames `[from, to)`, which must be complete messages. Call `flush` afterwards. */
  appendBatch(batch: Batch, from: number, to: number): void {
    if (!this.conflates) return this.#append(batch, from, to);
    let first = to - 1;
    while (first > from && batch.flags[first - 1] !== 0) first--;
    this.#newest = batch.slice(first, to).own(0);
  }

  #append(batch: Batch, from: number, to: number): void {
    this.#messages += batch.countMessages(from, to);
    while (from < to) {
      if (batch.ends[from]! - batch.starts[from]! >= this.#largeBody(batch)) this.#refer(batch, from++);
      else from = this.#copy(batch, from, to);
    }
  }

  /**
   * Appends a copy of one frame. Call `flush` after the last frame of the message.
   *
   * @param flags MORE, or 0 for the last frame
   */
  appendFrame(body: Uint8Array, flags: number): void {
    const { length } = body;
    const block = this.#reserve(length + MAX_HEADER);
    const at = writeHeader(block.bytes, block.length, flags, length);
    copyBody(body, 0, length, block.bytes, at);
    const last = flags === 0 ? 1 : 0;
    this.#messages += last;
    this.#grew(block, at + length - block.length, last, last === 1);
  }

  /** Appends complete encoded frames: `messages` messages, or commands (0 messages), which no limit counts. */
  appendEncoded(bytes: Uint8Array, messages: number): void {
    const block = this.#reserve(bytes.length);
    block.bytes.set(bytes, block.length);
    this.#grew(block, bytes.length, messages, true);
    this.#messages += messages;
  }

  /** Appends complete encoded messages without a copy: they become a write of their own. */
  appendShared(bytes: Uint8Array, messages: number, lease: Lease): void {
    this.#link(bytes, messages, true, lease);
    this.#messages += messages;
  }

  /** Starts to write, unless a write is in progress: then the appended frames follow it. */
  flush(): void {
    if (this.#flight !== undefined) return;
    if (this.#blocks.length === 0) this.#takeNewest();
    const block = this.#blocks.shift();
    if (block === undefined) return;
    this.#flight = block;
    this.#messages -= block.messages;
    this.#bytes -= block.length;
    this.#write(block.bytes.subarray(0, block.length));
  }

  #takeNewest(): void {
    const newest = this.#newest;
    this.#newest = undefined;
    if (newest !== undefined) this.#append(newest, 0, newest.frames);
  }

  /** The operating system accepted the block: writes the next one. */
  onDrain(): void {
    const done = this.#flight;
    this.#flight = undefined;
    if (done !== undefined) {
      this.#written += done.messages;
      if (!done.whole) this.#unfinished.push(done);
      else {
        recycle(done);
        while (this.#unfinished.length > 0) recycle(this.#unfinished.pop()!);
      }
    }
    this.flush();
  }

  /**
   * Empties the outbox of a closed connection.
   *
   * @param taken the number of bytes of the current write that the operating system accepted
   * @returns the messages that were not accepted completely; the peer cannot have received them
   */
  reclaim(taken: number): Batch {
    this.#takeNewest();
    const blocks = [
      ...this.#unfinished,
      ...(this.#flight === undefined ? [] : [this.#flight]),
      ...this.#blocks,
    ];
    if (this.#flight === undefined) taken = 0; // The last write is complete, and not in these blocks.
    else if (this.#cipher !== undefined) {
      const { bytes, length } = this.#flight;
      taken = this.#cipher.sealedWithin(bytes.subarray(0, length), taken);
    }
    for (const block of this.#unfinished) taken += block.length;
    const bytes = concat(blocks.map((block) => block.bytes.subarray(0, block.length)));
    // The runtime may still hold the bytes of the write that the end of the connection has cut off.
    for (const block of blocks) if (block !== this.#flight) block.lease?.release();
    this.#unfinished = [];
    this.#flight = undefined;
    this.#blocks = [];
    this.#messages = this.#bytes = 0;
    const left = new Batch();
    new ZmtpFrameDecoder(new Batch(), Infinity, (all) => {
      left.bytes = all.bytes;
      left.stable = true;
      for (let from = 0; from < all.frames;) {
        const to = all.messageEnd(from);
        const command = all.flags[from]! > MORE;
        if (!command && all.ends[to - 1]! > taken) {
          for (let i = from; i < to; i++) left.add(all.starts[i]!, all.ends[i]!, all.flags[i]!);
        }
        from = to;
      }
    }).push(bytes);
    return left;
  }

  /** Copies at least one frame, at most half a block's worth, up to the next body that can be referred to. */
  #copy(batch: Batch, from: number, to: number): number {
    const { starts, ends, ascending } = batch;
    const largeBody = this.#largeBody(batch);
    const first = starts[from]!;
    let bodies = ends[from]! - first;
    let end = from + 1;
    while (end < to) {
      const length = ends[end]! - starts[end]!;
      if (length >= largeBody) break;
      bodies += length;
      if ((ascending ? ends[end]! - first : bodies) + (end - from + 1) * MAX_HEADER > BLOCK / 2) break;
      end++;
    }
    const block = this.#reserve(encodedBound(batch, from, end));
    const at = encodeBatch(batch, from, end, block.bytes, block.length);
    this.#grew(block, at - block.length, batch.countMessages(from, end), batch.flags[end - 1] === 0);
    return end;
  }

  /** The length from which bodies of a batch are referred to. Encryption copies every body anyway. */
  #largeBody(batch: Batch): number {
    if (this.#cipher !== undefined) return Infinity;
    return batch.stable ? LARGE_BODY : batch.lease !== undefined ? LARGE_LEASED_BODY : Infinity;
  }

  #refer(batch: Batch, at: number): void {
    const body = batch.frame(at);
    const head = this.#reserve(MAX_HEADER);
    this.#grew(
      head,
      writeHeader(head.bytes, head.length, batch.flags[at]!, body.length) - head.length,
      0,
      false,
    );
    const whole = batch.flags[at] === 0;
    this.#link(body, whole ? 1 : 0, whole, batch.lease);
  }

  /** Adds a block that refers to bytes of another owner. The lease is released when they have been written. */
  #link(bytes: Uint8Array, messages: number, whole: boolean, lease: Lease | undefined): void {
    lease?.retain();
    const block = { bytes, length: 0, messages: 0, whole, own: false, lease };
    this.#blocks.push(block);
    this.#grew(block, bytes.length, messages, whole);
  }

  #grew(block: Block, length: number, messages: number, whole: boolean): void {
    block.length += length;
    block.messages += messages;
    block.whole = whole;
    this.#bytes += length;
  }

  /** Returns the last block, with room for `length` more bytes. */
  #reserve(length: number): Block {
    const last = this.#blocks.at(-1);
    if (last?.own) {
      const needed = last.length + length;
      if (needed <= last.bytes.length) return last;
      if (needed <= BLOCK) {
        const grown = fullBuffers.take();
        grown.set(last.bytes.subarray(0, last.length));
        smallBuffers.give(last.bytes);
        last.bytes = grown;
        return last;
      }
    }
    // A full block that is queued, or a large run of messages, indicates a stream of messages.
    const streams = last?.own === true || length > MIN_STREAM;
    const bytes = length <= SMALL_BLOCK && !streams
      ? smallBuffers.take()
      : length <= BLOCK && streams
      ? fullBuffers.take()
      : new Uint8Array(length);
    const block = { bytes, length: 0, messages: 0, whole: true, own: true, lease: undefined };
    this.#blocks.push(block);
    return block;
  }
}

/** Ends the use of a block whose messages are written completely. */
function recycle({ bytes, own, lease }: Block): void {
  lease?.release();
  if (own) (bytes.length === BLOCK ? fullBuffers : smallBuffers).give(bytes);
}
