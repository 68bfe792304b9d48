import {
  type Chunk,
  entriesOf,
  GONE,
  indexFrom,
  indexOf,
  NO_CHUNK,
  READY,
  seqOf,
  setExpiry,
  STATE,
  UNACKED,
} from "./chunk.ts";
import { ChunkList } from "./chunk_list.ts";
import { SeqHeap } from "./seq_heap.ts";

export { GONE, READY, UNACKED } from "./chunk.ts";

const REDELIVERED = 4;
/** The sequence number is in the heap of returned messages. */
const IN_HEAP = 8;

/**
 * The index of a queue's messages of one priority: the location of each message in the journal, and its state. Messages
 * get sequence numbers 0, 1, 2, … in the order of arrival; a number is never reused.
 *
 * The cost of `push`, `take`, `giveBack` and `remove` does not depend on the number of messages. Messages from the
 * cursor on are ready, except those that were removed or taken by number; the cursor passes each of them once. Messages
 * that are given back before the cursor wait in a heap. A chunk without messages is dropped, and a chunk with few is
 * made sparse.
 */
export class Lane {
  readonly #chunks = new ChunkList();
  /** The chunk of the cursor, or one that the cursor has left. */
  #at: Chunk = NO_CHUNK;
  /** No message from this sequence number on was taken in order. */
  #cursor = 0;
  /** The messages before the cursor that were given back. */
  readonly #heap = new SeqHeap();
  #nextSeq = 0;
  #ready = 0;
  #unacked = 0;
  #readyBytes = 0;
  #unackedBytes = 0;

  /** The number of messages that can be taken. */
  get ready(): number {
    return this.#ready;
  }

  /** The number of messages that were taken and neither given back nor removed. */
  get unacked(): number {
    return this.#unacked;
  }

  /** The total size of the ready messages, in bytes. */
  get readyBytes(): number {
    return this.#readyBytes;
  }

  /** The total size of the unacknowledged messages, in bytes. */
  get unackedBytes(): number {
    return this.#unackedBytes;
  }

  /** The memory of the index, in bytes. */
  get memory(): number {
    let bytes = 0;
    for (const { sparseSeqs, segments, offsets, sizes, states, expiries } of this.#chunks.list) {
      bytes += segments.byteLength + offsets.byteLength + sizes.byteLength + states.byteLength +
        (sparseSeqs?.byteLength ?? 0) + (expiries?.byteLength ?? 0);
    }
    return bytes;
  }

  /** The sequence number of the next message. */
  get nextSeq(): number {
    return this.#nextSeq;
  }

  /**
   * Adds a message at the end.
   *
   * @param segment with `offset`: the location in the journal
   * @param size the size of the body in bytes, for the totals
   * @param expiry milliseconds since 1970, 0 for never
   * @returns the sequence number
   */
  push(segment: number, offset: number, size: number, expiry: number): number {
    const seq = this.#nextSeq++;
    let chunk = this.#chunks.last;
    let index = seq - chunk.base;
    if (index !== chunk.span || index >= chunk.states.length) {
      chunk = this.#chunks.extend(seq);
      index = seq - chunk.base;
      if (index === 0) this.#chunks.thin();
    }
    chunk.span = index + 1;
    chunk.live++;
    chunk.segments[index] = segment;
    chunk.offsets[index] = offset;
    chunk.sizes[index] = size;
    chunk.states[index] = READY;
    if (expiry !== 0) setExpiry(chunk, index, expiry);
    else if (chunk.expiries !== undefined) chunk.expiries[index] = 0;
    this.#ready++;
    this.#readyBytes += size;
    return seq;
  }

  /** Returns the lowest ready sequence number, or -1. */
  first(): number {
    if (this.#ready === 0) return -1;
    for (const heap = this.#heap; heap.length > 0;) {
      const seq = heap.first;
      if ((this.#bits(seq) & STATE) === READY) return seq;
      this.#popHeap();
    }
    return this.#advance();
  }

  /** Takes the first ready message, which becomes unacknowledged. @returns its sequence number, or -1 */
  take(): number {
    const seq = this.first();
    if (seq >= 0) this.takeAt(seq);
    return seq;
  }

  /** Takes a ready message by its sequence number. @returns whether it was ready */
  takeAt(seq: number): boolean {
    const chunk = this.#chunks.find(seq);
    if (chunk === undefined) return false;
    const index = indexOf(chunk, seq);
    if (index < 0) return false;
    const bits = chunk.states[index]!;
    if ((bits & STATE) !== READY) return false;
    chunk.states[index] = bits ^ (READY | UNACKED);
    const size = chunk.sizes[index]!;
    this.#ready--;
    this.#unacked++;
    this.#readyBytes -= size;
    this.#unackedBytes += size;
    if (seq === this.#cursor) this.#cursor++;
    return true;
  }

  /** Makes an unacknowledged message ready again, marked as redelivered. @returns whether it was unacknowledged */
  giveBack(seq: number): boolean {
    const chunk = this.#chunks.find(seq);
    if (chunk === undefined) return false;
    const index = indexOf(chunk, seq);
    if (index < 0) return false;
    const bits = chunk.states[index]!;
    if ((bits & STATE) !== UNACKED) return false;
    const size = chunk.sizes[index]!;
    this.#ready++;
    this.#unacked--;
    this.#readyBytes += size;
    this.#unackedBytes -= size;
    let changed = READY | REDELIVERED | (bits & IN_HEAP);
    if (seq < this.#cursor && (bits & IN_HEAP) === 0) {
      changed |= IN_HEAP;
      this.#heap.push(seq);
    }
    chunk.states[index] = changed;
    return true;
  }

  /** Removes a message, ready or not. @returns whether it existed */
  remove(seq: number): boolean {
    const chunk = this.#chunks.find(seq);
    if (chunk === undefined) return false;
    const index = indexOf(chunk, seq);
    if (index < 0) return false;
    const state = chunk.states[index]! & STATE;
    if (state === GONE) return false;
    chunk.states[index] = GONE;
    const size = chunk.sizes[index]!;
    if (state === READY) {
      this.#ready--;
      this.#readyBytes -= size;
    } else {
      this.#unacked--;
      this.#unackedBytes -= size;
    }
    if (--chunk.live === 0) this.#drop(chunk);
    return true;
  }

  /** Returns `GONE`, `READY` or `UNACKED`. */
  stateAt(seq: number): number {
    return this.#bits(seq) & STATE;
  }

  /** Whether a message was delivered before. */
  isRedelivered(seq: number): boolean {
    return (this.#bits(seq) & REDELIVERED) !== 0;
  }

  /** Marks a message as delivered before. */
  markRedelivered(seq: number): void {
    const chunk = this.#chunks.find(seq);
    const index = chunk === undefined ? -1 : indexOf(chunk, seq);
    if (index >= 0) chunk!.states[index]! |= REDELIVERED;
  }

  /** Returns the journal segment of a message that is not gone. */
  segmentAt(seq: number): number {
    const chunk = this.#chunks.find(seq);
    return chunk === undefined ? 0 : chunk.segments[indexOf(chunk, seq)] ?? 0;
  }

  /** Returns the offset of a message in its segment. */
  offsetAt(seq: number): number {
    const chunk = this.#chunks.find(seq);
    return chunk === undefined ? 0 : chunk.offsets[indexOf(chunk, seq)] ?? 0;
  }

  /** Returns the size of a message's body, in bytes. */
  sizeAt(seq: number): number {
    const chunk = this.#chunks.find(seq);
    return chunk === undefined ? 0 : chunk.sizes[indexOf(chunk, seq)] ?? 0;
  }

  /** Returns the expiry of a message, in milliseconds since 1970; 0 for never. */
  expiryAt(seq: number): number {
    const chunk = this.#chunks.find(seq);
    return chunk?.expiries === undefined ? 0 : chunk.expiries[indexOf(chunk, seq)] ?? 0;
  }

  /** Removes the expiry of a message, until the next start of the broker. */
  keep(seq: number): void {
    const chunk = this.#chunks.find(seq);
    const index = chunk?.expiries === undefined ? -1 : indexOf(chunk, seq);
    if (index >= 0) chunk!.expiries![index] = 0;
  }

  /** Whether a message is not gone and has this location. */
  isAt(seq: number, segment: number, offset: number): boolean {
    const chunk = this.#chunks.find(seq);
    if (chunk === undefined) return false;
    const index = indexOf(chunk, seq);
    return index >= 0 && chunk.segments[index] === segment && chunk.offsets[index] === offset &&
      (chunk.states[index]! & STATE) !== GONE;
  }

  /** Sets the location of a message that the journal has moved. */
  relocate(seq: number, segment: number, offset: number): void {
    const chunk = this.#chunks.find(seq);
    const index = chunk === undefined ? -1 : indexOf(chunk, seq);
    if (index < 0) return;
    chunk!.segments[index] = segment;
    chunk!.offsets[index] = offset;
  }

  /**
   * Iterates without a change: `for (let seq = lane.nextReady(0); seq >= 0; seq = lane.nextReady(seq + 1))`.
   *
   * @returns the lowest ready sequence number that is at least `from`, or -1
   */
  nextReady(from: number): number {
    return this.#chunks.next(from, READY, READY);
  }

  /** The lowest ready sequence number, or -1. Nothing changes, as with `nextReady`. */
  readonly firstReady = (): number => this.#ready === 0 ? -1 : this.nextReady(0);

  /** Like `nextReady`, for messages that are not gone. */
  nextLive(from: number): number {
    return this.#chunks.next(from, READY | UNACKED, 0);
  }

  /**
   * Restores a message from the journal. If the sequence number exists, only its location changes, as the later copy
   * wins. Messages can be restored in any order; ascending is fast. All must be restored before the first one is
   * removed.
   */
  restore(seq: number, segment: number, offset: number, size: number, expiry: number): void {
    const chunk = this.#chunks.find(seq) ?? this.#chunks.extend(seq);
    const index = seq - chunk.base;
    if (index >= chunk.span) chunk.span = index + 1;
    if ((chunk.states[index]! & STATE) === GONE) {
      chunk.states[index] = READY;
      chunk.live++;
      this.#ready++;
      this.#readyBytes += size;
      chunk.sizes[index] = size;
      if (expiry !== 0) setExpiry(chunk, index, expiry);
      else if (chunk.expiries !== undefined) chunk.expiries[index] = 0;
    }
    chunk.segments[index] = segment;
    chunk.offsets[index] = offset;
    if (seq >= this.#nextSeq) this.#nextSeq = seq + 1;
    if (seq < this.#cursor) this.#cursor = seq;
  }

  /**
   * Restores messages with consecutive sequence numbers: `firstSeq + i` is at `offsets[from + i]`, up to `to`.
   *
   * @param expiries empty if no message expires
   */
  restoreRun(
    firstSeq: number,
    segment: number,
    offsets: Uint32Array,
    sizes: Uint32Array,
    expiries: Float64Array,
    from: number,
    to: number,
  ): void {
    if (firstSeq < this.#nextSeq || expiries.length > 0 || to - from < 8) {
      for (let i = from; i < to; i++) {
        this.restore(firstSeq + i - from, segment, offsets[i]!, sizes[i]!, expiries[i] ?? 0);
      }
      return;
    }
    let bytes = 0;
    for (let i = from; i < to; i++) bytes += sizes[i]!;
    this.#ready += to - from;
    this.#readyBytes += bytes;
    let seq = firstSeq;
    while (from < to) {
      let chunk = this.#chunks.last;
      let index = seq - chunk.base;
      if (index !== chunk.span || index >= chunk.states.length) {
        chunk = this.#chunks.extend(seq, to - from);
        index = seq - chunk.base;
      }
      const count = Math.min(to - from, chunk.states.length - index);
      chunk.segments.fill(segment, index, index + count);
      chunk.offsets.set(offsets.subarray(from, from + count), index);
      chunk.sizes.set(sizes.subarray(from, from + count), index);
      chunk.states.fill(READY, index, index + count);
      chunk.expiries?.fill(0, index, index + count);
      chunk.span = index + count;
      chunk.live += count;
      from += count;
      seq += count;
    }
    this.#nextSeq = seq;
  }

  /** Removes the messages from `from` to `to`, both included. */
  removeRange(from: number, to: number): void {
    const chunks = this.#chunks.list;
    for (let i = this.#chunks.indexAfter(from); i < chunks.length;) {
      const chunk = chunks[i]!;
      if (chunk.base > to) return;
      const start = Math.max(from, chunk.base);
      const end = Math.min(to + 1, chunk.base + chunk.span);
      for (let seq = start; seq < end && chunk.live > 0; seq++) this.remove(seq);
      if (chunks[i] === chunk) i++;
    }
  }

  /** Marks the messages up to `upTo`, included, as redelivered. These sequence numbers are not used again. */
  restoreDelivered(upTo: number): void {
    for (const chunk of this.#chunks.list) {
      const end = indexFrom(chunk, upTo + 1);
      for (let index = 0; index < end; index++) {
        if ((chunk.states[index]! & STATE) !== GONE) chunk.states[index]! |= REDELIVERED;
      }
    }
    this.skipTo(upTo + 1);
  }

  /**
   * Marks one message as redelivered. Its sequence number is not used again.
   *
   * @returns whether it exists
   */
  restoreDeliveredOne(seq: number): boolean {
    this.skipTo(seq + 1);
    const chunk = this.#chunks.find(seq);
    const index = chunk === undefined ? -1 : indexOf(chunk, seq);
    if (index < 0 || (chunk!.states[index]! & STATE) === GONE) return false;
    chunk!.states[index]! |= REDELIVERED;
    return true;
  }

  /** Ensures that the next message's sequence number is at least `seq`. */
  skipTo(seq: number): void {
    if (seq > this.#nextSeq) this.#nextSeq = seq;
  }

  /** Reports the number and the total size of messages per segment. A segment can be reported several times. */
  tally(report: (segment: number, count: number, bytes: number) => void): void {
    this.#chunks.tally(report);
  }

  #bits(seq: number): number {
    const chunk = this.#chunks.find(seq);
    return chunk === undefined ? GONE : chunk.states[indexOf(chunk, seq)] ?? GONE;
  }

  /** Drops a chunk whose messages are gone. */
  #drop(chunk: Chunk): void {
    if (this.#chunks.list.length === 1) {
      this.#heap.clear();
      // The only chunk is reused from the next sequence number on: a queue that is consumed at once needs no other.
      this.#cursor = chunk.base = this.#nextSeq;
      chunk.span = 0;
      chunk.sparseSeqs = undefined;
      chunk.expiries = undefined;
      return;
    }
    if (this.#at === chunk) this.#at = NO_CHUNK;
    this.#chunks.remove(chunk);
  }

  /** Moves the cursor to the next ready message. There must be one. */
  #advance(): number {
    let chunk = this.#at;
    for (;;) {
      const distance = this.#cursor - chunk.base;
      if (distance < 0 || distance >= chunk.span) {
        const next = this.#chunks.list[this.#chunks.indexAfter(this.#cursor)];
        if (next === undefined) return -1;
        this.#at = chunk = next;
      }
      const { states } = chunk;
      const length = entriesOf(chunk);
      let index = indexFrom(chunk, this.#cursor);
      while (index < length && (states[index]! & STATE) !== READY) index++;
      if (index < length) return this.#cursor = seqOf(chunk, index);
      this.#cursor = chunk.base + chunk.span;
    }
  }

  #popHeap(): void {
    const seq = this.#heap.pop();
    const chunk = this.#chunks.find(seq);
    const index = chunk === undefined ? -1 : indexOf(chunk, seq);
    if (index >= 0) chunk!.states[index]! &= ~IN_HEAP;
  }
}
