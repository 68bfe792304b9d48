import {
  CHUNK,
  type Chunk,
  entriesOf,
  FIRST_CHUNK,
  GONE,
  grow,
  indexFrom,
  indexOf,
  isSparse,
  makeSparse,
  newChunk,
  NO_CHUNK,
  READY,
  recycle,
  seqOf,
  setExpiry,
  STATE,
  UNACKED,
} from "./chunk.ts";

export { GONE, READY, UNACKED } from "./chunk.ts";

const REDELIVERED = 4;
/** The position is in the heap of those that were given back. */
const IN_HEAP = 8;

/**
 * The index of one queue's messages: where each lies in the journal, and what became of it. A queue with priorities
 * has several. Positions are numbers 0, 1, 2, … in the order of arrival, and are never given twice.
 *
 * Nothing here scans: `push`, `take`, `giveBack` and `remove` cost the same at a depth of ten and of ten million.
 * Positions from the cursor on are ready unless they were removed or taken out of turn, and the cursor passes each once;
 * what was given back below it waits in a heap. A chunk whose positions are gone is dropped, and one with few that are
 * not keeps only these.
 */
export class Lane {
  /** Ordered by base, and apart from each other. */
  #chunks: Chunk[] = [];
  /** The chunk that was found last. */
  #found: Chunk = NO_CHUNK;
  /** Where the cursor is, or a chunk that it has left. */
  #at: Chunk = NO_CHUNK;
  /** No position from here on was taken in its turn. */
  #cursor = 0;
  /** A binary heap of the positions below the cursor that were given back, the lowest one first. */
  readonly #heap: number[] = [];
  /** The chunk that was looked at last, to make it sparse. */
  #looked = 0;
  #nextSeq = 0;
  #ready = 0;
  #unacked = 0;
  #readyBytes = 0;
  #unackedBytes = 0;

  /** How many messages can be taken. */
  get ready(): number {
    return this.#ready;
  }

  /** How many messages were taken and neither given back nor removed. */
  get unacked(): number {
    return this.#unacked;
  }

  /** The sizes of the ready messages, in bytes. */
  get readyBytes(): number {
    return this.#readyBytes;
  }

  /** The sizes of the unacknowledged messages, in bytes. */
  get unackedBytes(): number {
    return this.#unackedBytes;
  }

  /** The position that the next message will have. */
  get nextSeq(): number {
    return this.#nextSeq;
  }

  /**
   * A message at the end of the queue.
   *
   * @param segment and `offset`: where it lies in the journal
   * @param size in bytes, for the sums
   * @param expiry milliseconds since 1970, 0 for never
   * @returns its position
   */
  push(segment: number, offset: number, size: number, expiry: number): number {
    const seq = this.#nextSeq++;
    const chunks = this.#chunks;
    let chunk = chunks.length > 0 ? chunks[chunks.length - 1]! : NO_CHUNK;
    let index = seq - chunk.base;
    if (index !== chunk.span || index >= chunk.states.length) {
      chunk = this.#extend(seq);
      index = seq - chunk.base;
      if (index === 0) this.#thin();
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

  /** @returns the lowest ready position, or -1 */
  first(): number {
    if (this.#ready === 0) return -1;
    while (this.#heap.length > 0) {
      const seq = this.#heap[0]!;
      if ((this.#bits(seq) & STATE) === READY) return seq;
      this.#popHeap();
    }
    return this.#advance();
  }

  /** Takes the lowest ready position: it is unacknowledged then. @returns it, or -1 */
  take(): number {
    const seq = this.first();
    if (seq >= 0) this.takeAt(seq);
    return seq;
  }

  /** Takes a ready position out of turn. @returns whether it was ready */
  takeAt(seq: number): boolean {
    const chunk = this.#find(seq);
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

  /** An unacknowledged position is ready again, at its place, and marked as redelivered. @returns whether it was one */
  giveBack(seq: number): boolean {
    const chunk = this.#find(seq);
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
      this.#pushHeap(seq);
    }
    chunk.states[index] = changed;
    return true;
  }

  /** A position is gone, ready or not. @returns whether it was there */
  remove(seq: number): boolean {
    const chunk = this.#find(seq);
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

  /** @returns `GONE`, `READY` or `UNACKED` */
  stateAt(seq: number): number {
    return this.#bits(seq) & STATE;
  }

  /** Whether it was delivered before. */
  isRedelivered(seq: number): boolean {
    return (this.#bits(seq) & REDELIVERED) !== 0;
  }

  /** In which segment of the journal it lies, if it is not gone. */
  segmentAt(seq: number): number {
    const chunk = this.#find(seq);
    return chunk === undefined ? 0 : chunk.segments[indexOf(chunk, seq)] ?? 0;
  }

  /** Where in that segment. */
  offsetAt(seq: number): number {
    const chunk = this.#find(seq);
    return chunk === undefined ? 0 : chunk.offsets[indexOf(chunk, seq)] ?? 0;
  }

  /** Its size, in bytes. */
  sizeAt(seq: number): number {
    const chunk = this.#find(seq);
    return chunk === undefined ? 0 : chunk.sizes[indexOf(chunk, seq)] ?? 0;
  }

  /** Milliseconds since 1970, 0 for never. */
  expiryAt(seq: number): number {
    const chunk = this.#find(seq);
    return chunk?.expiries === undefined ? 0 : chunk.expiries[indexOf(chunk, seq)] ?? 0;
  }

  /** Whether it is not gone and lies there. */
  isAt(seq: number, segment: number, offset: number): boolean {
    const chunk = this.#find(seq);
    if (chunk === undefined) return false;
    const index = indexOf(chunk, seq);
    return index >= 0 && chunk.segments[index] === segment && chunk.offsets[index] === offset &&
      (chunk.states[index]! & STATE) !== GONE;
  }

  /** The journal has moved it. */
  relocate(seq: number, segment: number, offset: number): void {
    const chunk = this.#find(seq);
    const index = chunk === undefined ? -1 : indexOf(chunk, seq);
    if (index < 0) return;
    chunk!.segments[index] = segment;
    chunk!.offsets[index] = offset;
  }

  /**
   * Looks on without a change: `for (let seq = lane.nextReady(0); seq >= 0; seq = lane.nextReady(seq + 1))`.
   *
   * @returns the lowest ready position that is not below `from`, or -1
   */
  nextReady(from: number): number {
    return this.#next(from, READY, READY);
  }

  /** The same for positions that are not gone. */
  nextLive(from: number): number {
    return this.#next(from, READY | UNACKED, 0);
  }

  /**
   * A message that the journal brought back. A position that is there already is moved, for a later copy of it wins.
   * Any order will do, ascending is fast; all are restored before the first one is removed.
   */
  restore(seq: number, segment: number, offset: number, size: number, expiry: number): void {
    const chunk = this.#find(seq) ?? this.#extend(seq);
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
   * Messages in a row that the journal brought back: position `firstSeq + i` is `offsets[from + i]`, up to `to`.
   *
   * @param expiries empty when none of them expires
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
      let chunk = this.#chunks.length > 0 ? this.#chunks[this.#chunks.length - 1]! : NO_CHUNK;
      let index = seq - chunk.base;
      if (index !== chunk.span || index >= chunk.states.length) {
        chunk = this.#extend(seq, to - from);
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

  /** Removes the positions of a range, both ends included. */
  removeRange(from: number, to: number): void {
    for (let i = this.#chunkFrom(from); i < this.#chunks.length;) {
      const chunk = this.#chunks[i]!;
      if (chunk.base > to) return;
      const start = Math.max(from, chunk.base);
      const end = Math.min(to + 1, chunk.base + chunk.span);
      for (let seq = start; seq < end && chunk.live > 0; seq++) this.remove(seq);
      if (this.#chunks[i] === chunk) i++;
    }
  }

  /** Positions up to this one, included, may have been delivered: they are marked, and none of them is given again. */
  restoreDelivered(upTo: number): void {
    for (const chunk of this.#chunks) {
      const end = indexFrom(chunk, upTo + 1);
      for (let index = 0; index < end; index++) {
        if ((chunk.states[index]! & STATE) !== GONE) chunk.states[index]! |= REDELIVERED;
      }
    }
    this.skipTo(upTo + 1);
  }

  /** The next message has at least this position. */
  skipTo(seq: number): void {
    if (seq > this.#nextSeq) this.#nextSeq = seq;
  }

  /** Tells how many messages lie in which segment, and their bytes; each segment as often as its messages begin. */
  tally(tell: (segment: number, count: number, bytes: number) => void): void {
    for (const chunk of this.#chunks) {
      let segment = 0;
      let count = 0;
      let bytes = 0;
      for (let index = 0, length = entriesOf(chunk); index < length; index++) {
        if ((chunk.states[index]! & STATE) === GONE) continue;
        if (chunk.segments[index] !== segment) {
          if (count > 0) tell(segment, count, bytes);
          segment = chunk.segments[index]!;
          count = 0;
          bytes = 0;
        }
        count++;
        bytes += chunk.sizes[index]!;
      }
      if (count > 0) tell(segment, count, bytes);
    }
  }

  #bits(seq: number): number {
    const chunk = this.#find(seq);
    return chunk === undefined ? GONE : chunk.states[indexOf(chunk, seq)] ?? GONE;
  }

  /** The chunk that covers a position. */
  #find(seq: number): Chunk | undefined {
    const found = this.#found;
    const index = seq - found.base;
    if (index >= 0 && index < found.span) return found;
    const chunk = this.#chunks[this.#chunkFrom(seq)];
    return chunk !== undefined && seq >= chunk.base ? this.#found = chunk : undefined;
  }

  /** The index of the first chunk that ends behind a position. */
  #chunkFrom(seq: number): number {
    const chunks = this.#chunks;
    let low = 0;
    let high = chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const chunk = chunks[middle]!;
      if (chunk.base + chunk.span <= seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** A chunk with room for a position that none covers; `more` is how many are to come. */
  #extend(seq: number, more = 1): Chunk {
    const at = this.#chunkFrom(seq);
    const before = this.#chunks[at - 1];
    if (before !== undefined && before.places === undefined && seq - before.base < CHUNK) {
      const needed = seq - before.base + more;
      if (needed > before.states.length) grow(before, Math.max(needed, 4 * before.states.length));
      // What a chunk was used for before is no state of the positions that are skipped.
      before.states.fill(GONE, before.span, seq - before.base + 1);
      return this.#found = before;
    }
    const full = more > FIRST_CHUNK || (at > 0 && at === this.#chunks.length);
    const chunk = newChunk(seq, full);
    chunk.states[0] = GONE; // As above: a spare has the states of its last use.
    this.#chunks.splice(at, 0, chunk);
    return this.#found = chunk;
  }

  /** Looks whether two chunks have become sparse, other ones each time: so often as chunks are made, all are seen. */
  #thin(): void {
    // The last one is being filled.
    const others = this.#chunks.length - 1;
    for (let i = 0; i < Math.min(2, others); i++) {
      this.#looked = (this.#looked + 1) % others;
      const chunk = this.#chunks[this.#looked]!;
      if (isSparse(chunk)) makeSparse(chunk);
    }
  }

  /** Nothing in this chunk is left. */
  #drop(chunk: Chunk): void {
    if (this.#chunks.length === 1) {
      this.#heap.length = 0;
      // The only one is used on, from the next position: a queue that is emptied as it fills needs no more than this.
      this.#cursor = chunk.base = this.#nextSeq;
      chunk.span = 0;
      chunk.places = undefined;
      chunk.expiries = undefined;
      return;
    }
    this.#chunks.splice(this.#chunkFrom(chunk.base), 1);
    this.#found = this.#chunks[0]!;
    if (this.#at === chunk) this.#at = NO_CHUNK;
    recycle(chunk);
  }

  /** Moves the cursor to the next ready position. There is one. */
  #advance(): number {
    let chunk = this.#at;
    for (;;) {
      const place = this.#cursor - chunk.base;
      if (place < 0 || place >= chunk.span) {
        const next = this.#chunks[this.#chunkFrom(this.#cursor)];
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

  #next(from: number, mask: number, wanted: number): number {
    for (let i = this.#chunkFrom(from); i < this.#chunks.length; i++) {
      const chunk = this.#chunks[i]!;
      const length = entriesOf(chunk);
      for (let index = indexFrom(chunk, from); index < length; index++) {
        const bits = chunk.states[index]! & mask;
        if (wanted === 0 ? bits !== 0 : bits === wanted) return seqOf(chunk, index);
      }
    }
    return -1;
  }

  #pushHeap(seq: number): void {
    const heap = this.#heap;
    let at = heap.push(seq) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]! <= seq) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = seq;
  }

  #popHeap(): void {
    const heap = this.#heap;
    const chunk = this.#find(heap[0]!);
    const index = chunk === undefined ? -1 : indexOf(chunk, heap[0]!);
    if (index >= 0) chunk!.states[index]! &= ~IN_HEAP;
    const last = heap.pop()!;
    const length = heap.length;
    if (length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= length) break;
      if (child + 1 < length && heap[child + 1]! < heap[child]!) child++;
      if (heap[child]! >= last) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}
