import { copyBytes } from "../../bytes/frame_buffer.ts";
import type { Bodies, Delivery, Envelope } from "../contract.ts";

/** The size of a new buffer, in bytes. */
const FIRST_ROOM = 64 * 1024;
/** A buffer larger than this is released when the pile is empty, in bytes. */
const KEEP = 4 * 1024 * 1024;

/** Received messages that are not published yet, in order: copies in one buffer, without an object for each message. */
export class Pile implements Bodies {
  bytes: Uint8Array = NOTHING;
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  readonly envelopes: Envelope[] = [];
  /** The delivery tag of each message; 0 if it cannot be acknowledged any more. */
  readonly tags: number[] = [];
  /** The index of the first message that is not published. */
  at = 0;
  /** Whether all messages have the same envelope object. */
  uniform = true;

  /** The number of messages, the published ones included. */
  get count(): number {
    return this.tags.length;
  }

  get empty(): boolean {
    return this.at === this.tags.length;
  }

  /** Appends a copy of a message. */
  add({ deliveryTag, content: { body, bodyStart, bodyEnd } }: Delivery, envelope: Envelope): void {
    const start = this.ends.length === 0 ? 0 : this.ends[this.ends.length - 1]!;
    this.#reserve(start, bodyEnd - bodyStart);
    this.starts.push(start);
    this.ends.push(copyBytes(body, bodyStart, bodyEnd, this.bytes, start));
    this.uniform &&= this.envelopes.length === 0 || this.envelopes[0] === envelope;
    this.envelopes.push(envelope);
    this.tags.push(deliveryTag);
  }

  /** Keeps the messages of a lost connection. */
  forgetTags(): void {
    this.tags.fill(0);
  }

  clear(): void {
    this.starts.length =
      this.ends.length =
      this.envelopes.length =
      this.tags.length =
      this.at =
        0;
    this.uniform = true;
    if (this.bytes.length > KEEP) this.bytes = NOTHING;
  }

  #reserve(used: number, size: number): void {
    if (used + size <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(used + size, this.bytes.length * 2, FIRST_ROOM));
    grown.set(this.bytes.subarray(0, used));
    this.bytes = grown;
  }
}

const NOTHING = new Uint8Array(0);
