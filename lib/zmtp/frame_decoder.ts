import { LimitError, ProtocolError } from "../errors.ts";
import { type Batch, COMMAND, LONG, MORE } from "./batch.ts";

/** A carry buffer over this size is given back once its message is out, in bytes. */
const KEEP_CARRY = 64 * 1024;
/** The most frames that a message may have: each costs more here than the two bytes that it may have on the wire. */
const MAX_PARTS = 2 ** 20;
const FLAGS_MASK = MORE | LONG | COMMAND;

/** Takes the whole messages and commands that one piece of input completed; `batch` is valid during the call. */
export type BatchSink = (batch: Batch) => void;

/**
 * Decodes frames (RFC 37, 2.3; the same in ZMTP 2.0) under any chunking. Messages that lie whole in a chunk are
 * handed on where they are; only one that spans chunks is copied, into a buffer that grows with what has come and
 * never with what a header claims.
 */
export class ZmtpFrameDecoder {
  readonly #batch: Batch;
  readonly #emit: BatchSink;
  readonly #maxMessage: number;
  /** The beginning of a message that is not complete yet. */
  #carry: Uint8Array = new Uint8Array(0);
  #carried = 0;
  /** Where the next frame header is in the buffer that is looked at. */
  #at = 0;
  /** Where the message that is not complete yet begins in it, and how many of its frames are in the batch. */
  #messageStart = 0;
  #pending = 0;
  /** How far the buffer must be filled before it is worth another look. */
  #wanted = 0;

  /** @param maxMessage the limit for a message with its headers, in bytes */
  constructor(batch: Batch, maxMessage: number, emit: BatchSink) {
    this.#batch = batch;
    this.#maxMessage = maxMessage;
    this.#emit = emit;
  }

  /**
   * Takes the next bytes of the peer.
   *
   * @throws {LimitError} a message is over the limit; thrown before anything is allocated for it
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
      if (whole.length > KEEP_CARRY) this.#carry = new Uint8Array(0);
      this.#deliver(whole, whole.length > KEEP_CARRY);
    }
    this.#batch.clear();
    this.#at = this.#messageStart = from;
    this.#pending = 0;
    this.#scan(chunk, chunk.length);
    if (this.#messageStart === chunk.length) return this.#deliver(chunk, false);
    this.#deliverAllBut(this.#pending, chunk);
    const start = this.#messageStart;
    this.#at -= start;
    this.#wanted -= start;
    this.#messageStart = 0;
    this.#append(chunk, start, chunk.length);
  }

  /** Whether the bytes so far end between two messages. */
  get idle(): boolean {
    return this.#carried === 0;
  }

  /** Goes on from `#at` through `bytes[0, to)` and collects the frames that are whole. */
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
        // A command may come between the frames of a message; it is no part of it.
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

  #deliver(bytes: Uint8Array, stable: boolean): void {
    const batch = this.#batch;
    if (batch.frames === 0) return;
    batch.bytes = bytes;
    batch.stable = stable;
    this.#emit(batch);
  }

  /** Delivers the whole messages and keeps the last `count` frames, at the positions they will have in the carry. */
  #deliverAllBut(count: number, bytes: Uint8Array): void {
    const batch = this.#batch;
    const whole = batch.frames - count;
    batch.dropLast(count);
    this.#deliver(bytes, false);
    const { starts, ends, flags } = batch;
    batch.clear();
    for (let i = whole; i < whole + count; i++) {
      batch.add(starts[i]! - this.#messageStart, ends[i]! - this.#messageStart, flags[i]!);
    }
  }

  #append(chunk: Uint8Array, from: number, to: number): void {
    const needed = this.#carried + to - from;
    if (needed > this.#carry.length) {
      // Doubling, so that many small frames are not copied over and over; but exactly to the end of a large body that
      // is a little farther.
      const doubled = Math.max(needed, this.#carry.length * 2, 1024);
      const exact = this.#wanted > doubled && this.#wanted <= doubled * 2 ? this.#wanted : doubled;
      const grown = new Uint8Array(exact);
      grown.set(this.#carry.subarray(0, this.#carried));
      this.#carry = grown;
    }
    this.#carry.set(chunk.subarray(from, to), this.#carried);
    this.#carried = needed;
  }
}

/** A 64-bit length is unsigned; over 2^53-1 it is over every limit, and its exact value does not matter. */
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
