/** The entries of a full chunk. */
export const CHUNK = 8192;
/** The first entries of a chunk: a queue that stays short stays small. */
export const FIRST_CHUNK = 16;
/** With one entry in so many that is not gone, a chunk had better keep only these. */
const SPARSE = 8;
/** How many full chunks are kept for use again, by all lanes together. */
const SPARES = 32;

/** What became of a position. */
export const GONE = 0;
export const READY = 1;
export const UNACKED = 2;
/** The bits of an entry's state that say that. */
export const STATE = 3;

/** The entries of up to 8192 positions in a row, 13 bytes for each (21 when one of them expires). */
export interface Chunk {
  /** The first position. */
  base: number;
  /** How many positions it covers so far. */
  span: number;
  /** How many of them are not gone. */
  live: number;
  /** In a sparse chunk the position of each entry, counted from the base; otherwise every position has one. */
  places: Uint16Array | undefined;
  segments: Uint32Array;
  offsets: Uint32Array;
  sizes: Uint32Array;
  states: Uint8Array;
  /** Milliseconds since 1970, 0 for never; only there when one of them expires. */
  expiries: Float64Array | undefined;
}

/** Stands for none, so that a hot path needs no other check than the one for the range. */
export const NO_CHUNK: Chunk = {
  base: 0,
  span: 0,
  live: 0,
  places: undefined,
  segments: new Uint32Array(0),
  offsets: new Uint32Array(0),
  sizes: new Uint32Array(0),
  states: new Uint8Array(0),
  expiries: undefined,
};

const spares: Chunk[] = [];

/** A chunk that covers nothing yet, with room for all of its entries if `full`. */
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
    places: undefined,
    segments: new Uint32Array(length),
    offsets: new Uint32Array(length),
    sizes: new Uint32Array(length),
    states: new Uint8Array(length),
    expiries: undefined,
  };
}

/** Nobody has this chunk any more. */
export function recycle(chunk: Chunk): void {
  if (chunk.states.length < CHUNK || spares.length >= SPARES) return;
  chunk.span = chunk.live = 0;
  chunk.expiries = undefined;
  spares.push(chunk);
}

/** Makes room for more entries. */
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

/** Whether so little is left of a chunk that it had better be sparse. */
export function isSparse({ live, states }: Chunk): boolean {
  return SPARSE * live <= states.length;
}

/** Keeps only the entries that are not gone: a few messages that stay do not keep the memory of all others. */
export function makeSparse(chunk: Chunk): void {
  const { base, span, live, places, segments, offsets, sizes, states, expiries } = chunk;
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
  chunk.places = places === undefined ? kept : kept.map((i) => places[i]!);
  recycle({ base, span, live, places: undefined, segments, offsets, sizes, states, expiries });
}

/** How many entries it has. */
export function entriesOf(chunk: Chunk): number {
  return chunk.places === undefined ? chunk.span : chunk.places.length;
}

/** The entry of a position that it covers, or -1 when that is gone. */
export function indexOf(chunk: Chunk, seq: number): number {
  const { places } = chunk;
  if (places === undefined) return seq - chunk.base;
  const index = indexFrom(chunk, seq);
  return index < places.length && places[index] === seq - chunk.base ? index : -1;
}

/** The first entry whose position is not below `seq`; as many as there are when there is none. */
export function indexFrom(chunk: Chunk, seq: number): number {
  const { places } = chunk;
  const place = seq - chunk.base;
  if (places === undefined) return Math.max(0, Math.min(place, chunk.span));
  let low = 0;
  let high = places.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (places[middle]! < place) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The position of an entry. */
export function seqOf(chunk: Chunk, index: number): number {
  return chunk.base + (chunk.places === undefined ? index : chunk.places[index]!);
}
