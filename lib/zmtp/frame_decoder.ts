import { LimitError, ProtocolError } from "../errors.ts";
import { type Batch, COMMAND, LONG, MORE } from "./batch.ts";
import { LargeBuffers, Lease } from "./buffers.ts";
import { EMPTY } from "./bytes.ts";

/** A carry buffer larger than this is given to other decoders after its message has been delivered, in bytes. */
const KEEP_CARRY = 64 * 1024;
/** The large carry buffers that no decoder uses. */
const largeCarries = new LargeBuffers(8 * 1024 * 1024);
/** If at least this much of a message is missing, it is read directly into the carry buffer, in bytes. */
const MIN_DIRECT = 64 * 1024;
/** The limit for the frames of one message: a frame costs more memory here than the two bytes it needs on the wire. */
const MAX_PARTS = 2 ** 20;
const FLAGS_MASK = MORE | LONG | COMMAND;

/** Receives the messages and commands that one chunk of input completed. `batch` is valid during the call. */
export type BatchSink = (batch: Batch) => void;

/**
 * Decodes frames (RFC 37, 2.3; the same in ZMTP 2.0) from chunks of any size. Messages that are complete in a chunk are
 * not copied. A message that spans chunks is copied into a carry buffer, which grows with the bytes that have arrived and
 * never with the length that a header announces.
 */
export class ZmtpFrameDecoder {
  readonly #batch: Batch;
  readonly #emit: BatchSink;
  readonly #maxMessage: number;
  /** The first bytes of a message that is not complete yet. */
  #carry: Uint8Array = new Uint8Array(0);
  #carried = 0;
  /** The index of the next frame header in the current buffer. */
  #at = 0;
  /** The index in the current buffer at which the incomplete message begins. */
  #messageStart = 0;
  /** The number of frames of the incomplete message in the batch. */
  #pending = 0;
  /** The number of bytes in the buffer that the next step of decoding needs. */
  #wanted = 0;

  /**
   * @param batch is filled and passed to `emit` again and again
   * @param maxMessage the limit for a message including its headers, in bytes
   * @param emit is called at most twice per chunk
   */
  constructor(batch: Batch, maxMessage: number, emit: BatchSink) {
    this.#batch = batch;
    this.#maxMessage = maxMessage;
    this.#emit = emit;
  }

  /**
   * Decodes the next bytes of the peer.
   *
   * @throws {LimitError} a message is over the limit; thrown before memory is allocated for it
   * @throws {ProtocolError} reserved flags are set
   */
  push(chunk: Uint8Array): void {
    let from = 0;
    if (this.#carried > 0) {
      do {
        const take = Math.min(this.#wanted - this.#carried, chunk.length - from);
        this.#append(chunk, from, from + take);
        from += take;
        if (this.#carried < this.#wanted) return;
        this.#scan(this.#carry, this.#carried);
      } while (this.#messageStart < this.#carried);
      this.#carried = 0;
      const whole = this.#carry;
      if (whole.length <= KEEP_CARRY) this.#deliver(whole);
      else {
        this.#carry = new Uint8Array(0);
        const lease = new Lease(whole, largeCarries);
        this.#deliver(whole, lease);
        lease.release();
        // An idle connection must not keep the memory of the last large message.
        this.#batch.bytes = EMPTY;
        this.#batch.lease = undefined;
      }
    }
    this.#batch.clear();
    this.#at = this.#messageStart = from;
    this.#pending = 0;
    this.#scan(chunk, chunk.length);
    if (this.#messageStart === chunk.length) return this.#deliver(chunk);
    this.#deliverAllBut(this.#pending, chunk);
    const start = this.#messageStart;
    this.#at -= start;
    this.#wanted -= start;
    this.#messageStart = 0;
    this.#append(chunk, start, chunk.length);
  }

  /** Whether all input so far forms complete messages. */
  get idle(): boolean {
    return this.#carried === 0;
  }

  /** The place of the next bytes of a large message: a chunk that was read to it is not copied. */
  get space(): Uint8Array | undefined {
    if (this.#carried === 0 || this.#wanted - this.#carried < MIN_DIRECT) return undefined;
    this.#grow(this.#carried + MIN_DIRECT);
    return this.#carry.subarray(this.#carried, this.#wanted);
  }

  /** Continues at `#at` through `bytes[0, to)` and adds the complete frames to the batch. */
  #scan(bytes: Uint8Array, to: number): void {
    const batch = this.#batch;
    let at = this.#at;
    for (;;) {
      this.#wanted = at + 2;
      if (at + 2 > to) break;
      const flags = bytes[at]!;
      if (flags > FLAGS_MASK) {
        throw new ProtocolError(`The peer sent a frame with reserved flags (${hex(flags)})`);
      }
      let body = at + 2;
      let length = bytes[at + 1]!;
      if ((flags & LONG) !== 0) {
        body = this.#wanted = at + 9;
        if (body > to) break;
        length = readLength(bytes, at + 1);
      }
      const end = body + length;
      if (end - this.#messageStart > this.#maxMessage) throw tooLarge(length, this.#maxMessage);
      this.#wanted = end;
      if (end > to) break;
      at = end;
      if ((flags & COMMAND) !== 0) {
        // A command may arrive between the frames of a message, but is not part of it.
        batch.add(body, end, COMMAND);
        if (this.#pending > 0) this.#pending++;
        else this.#messageStart = at;
      } else if ((flags & MORE) !== 0) {
        batch.add(body, end, MORE);
        if (++this.#pending > MAX_PARTS) {
          throw new LimitError(`The peer sent a message of more than ${MAX_PARTS} frames`);
        }
      } else {
        batch.add(body, end, 0);
        this.#pending = 0;
        this.#messageStart = at;
      }
    }
    this.#at = at;
  }

  #deliver(bytes: Uint8Array, lease?: Lease): void {
    const batch = this.#batch;
    if (batch.frames === 0) return;
    batch.bytes = bytes;
    batch.lease = lease;
    this.#emit(batch);
  }

  /** Delivers the complete messages, and keeps the last `count` frames with their future positions in the carry. */
  #deliverAllBut(count: number, bytes: Uint8Array): void {
    const batch = this.#batch;
    const whole = batch.frames - count;
    batch.dropLast(count);
    this.#deliver(bytes);
    const { starts, ends, flags } = batch;
    batch.clear();
    for (let i = whole; i < whole + count; i++) {
      batch.add(starts[i]! - this.#messageStart, ends[i]! - this.#messageStart, flags[i]!);
    }
  }

  #append(chunk: Uint8Array, from: number, to: number): void {
    const needed = this.#carried + to - from;
    this.#grow(needed);
    const { buffer, byteOffset } = this.#carry;
    // The bytes may have been read into their place; see `space`.
    const inPlace = chunk.buffer === buffer && chunk.byteOffset + from === byteOffset + this.#carried;
    if (!inPlace) this.#carry.set(chunk.subarray(from, to), this.#carried);
    this.#carried = needed;
  }

  /** Makes room for `needed` bytes in the carry buffer. */
  #grow(needed: number): void {
    const carry = this.#carry;
    if (needed <= carry.length) return;
    // Double the size, so that the cost of copying stays linear. If a large body ends a little farther, allocate
    // exactly up to its end. A buffer that exists costs nothing, even if the rest of the message never arrives.
    const doubled = Math.max(needed, carry.length * 2, 1024);
    const exact = this.#wanted > doubled && this.#wanted <= doubled * 2 ? this.#wanted : doubled;
    const kept = this.#wanted > KEEP_CARRY ? largeCarries.take(Math.max(needed, this.#wanted)) : undefined;
    this.#carry = kept ?? new Uint8Array(exact);
    this.#carry.set(carry.subarray(0, this.#carried));
    if (carry.length > KEEP_CARRY) largeCarries.give(carry);
  }
}

/** Reads an unsigned 64-bit length. Values over 2^53-1 are inexact, but exceed every limit anyway. */
export function readLength(bytes: Uint8Array, at: number): number {
  const high = bytes[at]! * 0x1000000 + (bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!);
  const low = bytes[at + 4]! * 0x1000000 + (bytes[at + 5]! << 16 | bytes[at + 6]! << 8 | bytes[at + 7]!);
  return high * 0x100000000 + low;
}

function tooLarge(length: number, limit: number): LimitError {
  return new LimitError(
    `The peer announced a frame of ${length} bytes, and the limit for a message is ${limit} bytes`,
  );
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(2, "0")}`;
}
