import {
  CHUNK,
  type Chunk,
  entriesOf,
  FIRST_CHUNK,
  GONE,
  grow,
  indexFrom,
  isSparse,
  makeSparse,
  newChunk,
  NO_CHUNK,
  recycle,
  seqOf,
  STATE,
} from "./chunk.ts";

/** The chunks of a lane, ordered by base and without overlaps. */
export class ChunkList {
  readonly list: Chunk[] = [];
  /** The result of the last `find` or `extend`. */
  #found: Chunk = NO_CHUNK;
  /** The index of the chunk that `thin` checked last. */
  #checked = 0;

  /** The last chunk; `NO_CHUNK` if there is none. */
  get last(): Chunk {
    const { list } = this;
    return list.length > 0 ? list[list.length - 1]! : NO_CHUNK;
  }

  /** Finds the chunk that covers a sequence number. */
  find(seq: number): Chunk | undefined {
    const found = this.#found;
    const index = seq - found.base;
    if (index >= 0 && index < found.span) return found;
    const chunk = this.list[this.indexAfter(seq)];
    return chunk !== undefined && seq >= chunk.base ? this.#found = chunk : undefined;
  }

  /** Returns the index of the first chunk that ends after a sequence number. */
  indexAfter(seq: number): number {
    const { list } = this;
    let low = 0;
    let high = list.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const chunk = list[middle]!;
      if (chunk.base + chunk.span <= seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * Returns a chunk with space for a sequence number that no chunk covers.
   *
   * @param more the number of entries that will follow, including this one
   */
  extend(seq: number, more = 1): Chunk {
    const { list } = this;
    const at = this.indexAfter(seq);
    const before = list[at - 1];
    if (before !== undefined && before.sparseSeqs === undefined && seq - before.base < CHUNK) {
      const needed = seq - before.base + more;
      if (needed > before.states.length) grow(before, Math.max(needed, 4 * before.states.length));
      // The arrays have old states from an earlier use; skipped sequence numbers must be gone.
      before.states.fill(GONE, before.span, seq - before.base + 1);
      return this.#found = before;
    }
    const full = more > FIRST_CHUNK || (at > 0 && at === list.length);
    const chunk = newChunk(seq, full);
    chunk.states[0] = GONE; // As above.
    list.splice(at, 0, chunk);
    return this.#found = chunk;
  }

  /**
   * Checks the next two chunks and makes them sparse if possible. Called once per new chunk, it reaches all of them.
   */
  thin(): void {
    // The last chunk is still being filled.
    const others = this.list.length - 1;
    for (let i = 0; i < Math.min(2, others); i++) {
      this.#checked = (this.#checked + 1) % others;
      const chunk = this.list[this.#checked]!;
      if (isSparse(chunk)) makeSparse(chunk);
    }
  }

  /** Removes a chunk whose entries are gone. There must be another one. */
  remove(chunk: Chunk): void {
    this.list.splice(this.indexAfter(chunk.base), 1);
    this.#found = this.list[0]!;
    recycle(chunk);
  }

  /**
   * Finds the lowest sequence number, at least `from`, whose state matches.
   *
   * @param wanted the bits of the state under `mask`; 0 for any bits that are not 0
   * @returns the sequence number, or -1
   */
  next(from: number, mask: number, wanted: number): number {
    const { list } = this;
    for (let i = this.indexAfter(from); i < list.length; i++) {
      const chunk = list[i]!;
      const length = entriesOf(chunk);
      for (let index = indexFrom(chunk, from); index < length; index++) {
        const bits = chunk.states[index]! & mask;
        if (wanted === 0 ? bits !== 0 : bits === wanted) return seqOf(chunk, index);
      }
    }
    return -1;
  }

  /** Reports the number and the total size of messages per segment; see `Lane.tally`. */
  tally(report: (segment: number, count: number, bytes: number) => void): void {
    for (const chunk of this.list) {
      let segment = 0;
      let count = 0;
      let bytes = 0;
      for (let index = 0, length = entriesOf(chunk); index < length; index++) {
        if ((chunk.states[index]! & STATE) === GONE) continue;
        if (chunk.segments[index] !== segment) {
          if (count > 0) report(segment, count, bytes);
          segment = chunk.segments[index]!;
          count = 0;
          bytes = 0;
        }
        count++;
        bytes += chunk.sizes[index]!;
      }
      if (count > 0) report(segment, count, bytes);
    }
  }
}
