/** The number of entries in a full chunk. */
export const CHUNK = 8192;
/** The initial capacity of a lane's first chunk, so that a short queue needs little memory. */
export const FIRST_CHUNK = 16;
/** A chunk becomes sparse when at most one entry in this many is left. */
const SPARSE = 8;
/** The number of full chunks that are kept for reuse, shared by all lanes. */
const SPARES = 32;

/** The states of a message. `GONE`: settled, or never pushed. */
export const GONE = 0;
export const READY = 1;
export const UNACKED = 2;
/** The mask for these states; the other bits of an entry's state are flags. */
export const STATE = 3;

/** The entries of up to 8192 consecutive sequence numbers, 13 bytes each (21 bytes if any of them expires). */
export interface Chunk {
  /** The first sequence number. */
  base: number;
  /** The number of sequence numbers that the chunk covers so far. */
  span: number;
  /** The number of entries that are not gone. */
  live: number;
  /**
   * In a sparse chunk, the sequence number of each entry, relative to `base`. Other chunks have an entry for each
   * number.
   */
  sparseSeqs: Uint16Array | undefined;
  segments: Uint32Array;
  offsets: Uint32Array;
  sizes: Uint32Array;
  states: Uint8Array;
  /** Milliseconds since 1970, 0 for never; undefined if no entry expires. */
  expiries: Float64Array | undefined;
}

/** An empty chunk in place of undefined, so that the hot path needs only the range check. */
export const NO_CHUNK: Chunk = {
  base: 0,
  span: 0,
  live: 0,
  sparseSeqs: undefined,
  segments: new Uint32Array(0),
  offsets: new Uint32Array(0),
  sizes: new Uint32Array(0),
  states: new Uint8Array(0),
  expiries: undefined,
};

const spares: Chunk[] = [];

/** Makes an empty chunk, with the full capacity if `full`. */
export function newChunk(base: number, full: boolean): Chunk {
  const spare = full ? spares.pop() : undefined;
  if (spare !== undefined) {
    spare.base = base;
    return spare;
  }
  const length = full ? CHUNK : FIRST_CHUNK;
  return {
    base,
    span: 0,
    live: 0,
    sparseSeqs: undefined,
    segments: new Uint32Array(length),
    offsets: new Uint32Array(length),
    sizes: new Uint32Array(length),
    states: new Uint8Array(length),
    expiries: undefined,
  };
}

/** Keeps an unused chunk for reuse. */
export function recycle(chunk: Chunk): void {
  if (chunk.states.length < CHUNK || spares.length >= SPARES) return;
  chunk.span = chunk.live = 0;
  chunk.expiries = undefined;
  spares.push(chunk);
}

/** Enlarges the arrays of a chunk. */
export function grow(chunk: Chunk, needed: number): void {
  const length = Math.min(CHUNK, needed);
  const { segments, offsets, sizes, states, expiries } = chunk;
  (chunk.segments = new Uint32Array(length)).set(segments);
  (chunk.offsets = new Uint32Array(length)).set(offsets);
  (chunk.sizes = new Uint32Array(length)).set(sizes);
  (chunk.states = new Uint8Array(length)).set(states);
  if (expiries !== undefined) (chunk.expiries = new Float64Array(length)).set(expiries);
}

export function setExpiry(chunk: Chunk, index: number, expiry: number): void {
  (chunk.expiries ??= new Float64Array(chunk.states.length))[index] = expiry;
}

/** Whether so few entries are left that the chunk should become sparse. */
export function isSparse({ live, states }: Chunk): boolean {
  return SPARSE * live <= states.length;
}

/** Removes the entries that are gone, so that a few remaining messages do not keep the memory of the whole chunk. */
export function makeSparse(chunk: Chunk): void {
  const { base, span, live, sparseSeqs, segments, offsets, sizes, states, expiries } = chunk;
  const kept = new Uint16Array(live);
  let count = 0;
  for (let i = 0, length = entriesOf(chunk); i < length; i++) {
    if ((states[i]! & STATE) !== GONE) kept[count++] = i;
  }
  chunk.segments = Uint32Array.from(kept, (i) => segments[i]!);
  chunk.offsets = Uint32Array.from(kept, (i) => offsets[i]!);
  chunk.sizes = Uint32Array.from(kept, (i) => sizes[i]!);
  chunk.states = Uint8Array.from(kept, (i) => states[i]!);
  chunk.expiries = expiries === undefined ? undefined : Float64Array.from(kept, (i) => expiries[i]!);
  chunk.sparseSeqs = sparseSeqs === undefined ? kept : kept.map((i) => sparseSeqs[i]!);
  recycle({ base, span, live, sparseSeqs: undefined, segments, offsets, sizes, states, expiries });
}

/** Returns the number of entries. */
export function entriesOf(chunk: Chunk): number {
  return chunk.sparseSeqs === undefined ? chunk.span : chunk.sparseSeqs.length;
}

/** Returns the index of the entry for a sequence number that the chunk covers, or -1 when it is gone. */
export function indexOf(chunk: Chunk, seq: number): number {
  const { sparseSeqs } = chunk;
  if (sparseSeqs === undefined) return seq - chunk.base;
  const index = indexFrom(chunk, seq);
  return index < sparseSeqs.length && sparseSeqs[index] === seq - chunk.base ? index : -1;
}

/**
 * Returns the index of the first entry whose sequence number is at least `seq`, or the number of entries if none is.
 */
export function indexFrom(chunk: Chunk, seq: number): number {
  const { sparseSeqs } = chunk;
  const relative = seq - chunk.base;
  if (sparseSeqs === undefined) return Math.max(0, Math.min(relative, chunk.span));
  let low = 0;
  let high = sparseSeqs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sparseSeqs[middle]! < relative) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Returns the sequence number of an entry. */
export function seqOf(chunk: Chunk, index: number): number {
  return chunk.base + (chunk.sparseSeqs === undefined ? index : chunk.sparseSeqs[index]!);
}
