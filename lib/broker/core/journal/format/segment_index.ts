/**
 * The index file of a sealed segment: the locations of each queue's messages, so that a start does not read the
 * messages. All numbers are little-endian, and arrays are aligned to their elements:
 *
 *     magic "MQCI" u32, CRC-32C u32 of the following bytes, with the segment's salt
 *     end of the log u32, runs u32, entries u32, entries with expiries u32, sources u32, origins u32
 *     runs:      first sequence number f64, queue id u32, lane u32, entries u32, 1 if it has expiries u32
 *     origins:   sequence number f64, queue id u32, lane u32
 *     expiries:  f64, for the runs that have expiries
 *     offsets:   u32 for each entry; sizes: u32 for each entry; sources: u32
 */
import fs from "node:fs";
import { crc32c } from "./crc32c.ts";
import { type Files, indexName, OWNER_ONLY, remove } from "../files/files.ts";

const MAGIC = 0x4943514d;
const HEAD = 32;
const RUN = 24;
const ORIGIN = 16;
const NO_EXPIRIES = new Float64Array(0);

/** Messages of one lane with consecutive sequence numbers, in ascending order. */
export interface IndexRun {
  readonly queueId: number;
  readonly lane: number;
  readonly firstSeq: number;
  /** The offsets of the records in the segment. */
  readonly offsets: Uint32Array;
  /** The sizes of the bodies, in bytes. */
  readonly sizes: Uint32Array;
  /** Milliseconds since 1970, 0 for never; empty when no message expires. */
  readonly expiries: Float64Array;
}

/** A message that another one replaced; see `Targets.setOrigin`. */
export interface Origin {
  readonly queueId: number;
  readonly lane: number;
  readonly seq: number;
}

/** The index of a segment. */
export interface SegmentIndex {
  readonly runs: readonly IndexRun[];
  readonly origins: readonly Origin[];
  /** The segments that copies may come from; see `Segment.sources`. */
  readonly sources: readonly number[];
}

/** A run that is being built. */
interface GrowingRun {
  queueId: number;
  lane: number;
  firstSeq: number;
  count: number;
  offsets: Uint32Array;
  sizes: Uint32Array;
  expiries: Float64Array | undefined;
}

/** Builds an index from targets in the order of their records. */
export class IndexBuilder {
  readonly #runs: GrowingRun[] = [];
  /** The unfinished run of each lane. */
  readonly #growing = new Map<number, GrowingRun>();
  #last: GrowingRun | undefined;
  readonly #sources = new Set<number>();
  readonly #origins: Origin[] = [];

  add(queueId: number, lane: number, seq: number, offset: number, size: number, expiry: number): void {
    let run = this.#last;
    if (run === undefined || run.queueId !== queueId || run.lane !== lane) {
      run = this.#growing.get(queueId * 256 + lane);
    }
    if (run === undefined || seq !== run.firstSeq + run.count) run = this.#begin(queueId, lane, seq);
    this.#last = run;
    const at = run.count++;
    if (at === run.offsets.length) grow(run);
    run.offsets[at] = offset;
    run.sizes[at] = size;
    if (expiry !== 0) (run.expiries ??= new Float64Array(run.offsets.length))[at] = expiry;
  }

  addSource(segment: number): void {
    this.#sources.add(segment);
  }

  addOrigin(queueId: number, lane: number, seq: number): void {
    this.#origins.push({ queueId, lane, seq });
  }

  finish(): SegmentIndex {
    const runs = this.#runs.map(({ queueId, lane, firstSeq, count, offsets, sizes, expiries }) => ({
      queueId,
      lane,
      firstSeq,
      offsets: offsets.subarray(0, count),
      sizes: sizes.subarray(0, count),
      expiries: expiries?.subarray(0, count) ?? NO_EXPIRIES,
    }));
    return { runs, origins: this.#origins, sources: [...this.#sources] };
  }

  #begin(queueId: number, lane: number, firstSeq: number): GrowingRun {
    const offsets = new Uint32Array(2);
    const run = {
      queueId,
      lane,
      firstSeq,
      count: 0,
      offsets,
      sizes: new Uint32Array(2),
      expiries: undefined,
    };
    this.#runs.push(run);
    this.#growing.set(queueId * 256 + lane, run);
    return run;
  }
}

function grow(run: GrowingRun): void {
  const length = 4 * run.offsets.length;
  const { offsets, sizes, expiries } = run;
  (run.offsets = new Uint32Array(length)).set(offsets);
  (run.sizes = new Uint32Array(length)).set(sizes);
  if (expiries !== undefined) (run.expiries = new Float64Array(length)).set(expiries);
}

/** Tries to write an index file. Without it, recovery reads the whole segment. */
export function writeIndex(
  files: Files,
  number: number,
  index: SegmentIndex,
  logEnd: number,
  salt: number,
): void {
  const file = files.path(indexName(number));
  try {
    fs.writeFileSync(file, encodeIndex(index, logEnd, salt), { mode: OWNER_ONLY });
  } catch {
    remove(file);
  }
}

/** Encodes an index. @param logEnd the length of the segment, which the index is valid for */
export function encodeIndex(index: SegmentIndex, logEnd: number, salt: number): Uint8Array {
  const { runs, origins, sources } = index;
  let entries = 0;
  let expiring = 0;
  for (const { offsets, expiries } of runs) {
    entries += offsets.length;
    expiring += expiries.length;
  }
  const arrays = 8 * expiring + 8 * entries + 4 * sources.length;
  const bytes = new Uint8Array(HEAD + RUN * runs.length + ORIGIN * origins.length + arrays);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  [logEnd, runs.length, entries, expiring, sources.length, origins.length].forEach((n, i) =>
    view.setUint32(8 + 4 * i, n, true)
  );
  const layout = new Layout(bytes, runs.length, origins.length, entries, expiring, sources.length);
  let at = HEAD;
  let entry = 0;
  let expiry = 0;
  for (const { queueId, lane, firstSeq, offsets, sizes, expiries } of runs) {
    view.setFloat64(at, firstSeq, true);
    view.setUint32(at + 8, queueId, true);
    view.setUint32(at + 12, lane, true);
    view.setUint32(at + 16, offsets.length, true);
    view.setUint32(at + 20, expiries.length > 0 ? 1 : 0, true);
    at += RUN;
    layout.offsets.set(offsets, entry);
    layout.sizes.set(sizes, entry);
    layout.expiries.set(expiries, expiry);
    entry += offsets.length;
    expiry += expiries.length;
  }
  for (const { queueId, lane, seq } of origins) {
    view.setFloat64(at, seq, true);
    view.setUint32(at + 8, queueId, true);
    view.setUint32(at + 12, lane, true);
    at += ORIGIN;
  }
  layout.sources.set(sources);
  view.setUint32(4, crc32c(view, 8, bytes.length, salt), true);
  return bytes;
}

/**
 * Decodes an index.
 *
 * @param bytes the content of the file, at an offset in the buffer that is a multiple of 8; the result refers to it
 * @returns undefined when the index is damaged, or when it belongs to another log
 */
export function decodeIndex(bytes: Uint8Array, logEnd: number, salt: number): SegmentIndex | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEAD || view.getUint32(0, true) !== MAGIC || view.getUint32(8, true) !== logEnd) {
    return undefined;
  }
  const counts = [12, 16, 20, 24, 28].map((at) => view.getUint32(at, true));
  const [runCount, entries, expiring, sources, originCount] = counts as [
    number,
    number,
    number,
    number,
    number,
  ];
  const arrays = 8 * expiring + 8 * entries + 4 * sources;
  if (bytes.length !== HEAD + RUN * runCount + ORIGIN * originCount + arrays) return undefined;
  if (view.getUint32(4, true) !== crc32c(view, 8, bytes.length, salt)) return undefined;
  const layout = new Layout(bytes, runCount, originCount, entries, expiring, sources);
  const runs: IndexRun[] = [];
  let entry = 0;
  let expiry = 0;
  let at = HEAD;
  for (; at < HEAD + RUN * runCount; at += RUN) {
    const count = view.getUint32(at + 16, true);
    const expiries = view.getUint32(at + 20, true) === 1;
    runs.push({
      firstSeq: view.getFloat64(at, true),
      queueId: view.getUint32(at + 8, true),
      lane: view.getUint32(at + 12, true),
      offsets: layout.offsets.subarray(entry, entry + count),
      sizes: layout.sizes.subarray(entry, entry + count),
      expiries: expiries ? layout.expiries.subarray(expiry, expiry + count) : NO_EXPIRIES,
    });
    entry += count;
    if (expiries) expiry += count;
  }
  const origins: Origin[] = [];
  for (let i = 0; i < originCount; i++, at += ORIGIN) {
    const seq = view.getFloat64(at, true);
    origins.push({ seq, queueId: view.getUint32(at + 8, true), lane: view.getUint32(at + 12, true) });
  }
  return { runs, origins, sources: [...layout.sources] };
}

/** The arrays that follow the runs and origins in the file. */
class Layout {
  readonly expiries: Float64Array;
  readonly offsets: Uint32Array;
  readonly sizes: Uint32Array;
  readonly sources: Uint32Array;

  constructor(
    bytes: Uint8Array,
    runs: number,
    origins: number,
    entries: number,
    expiring: number,
    sources: number,
  ) {
    const buffer = bytes.buffer as ArrayBuffer;
    let at = bytes.byteOffset + HEAD + RUN * runs + ORIGIN * origins;
    this.expiries = new Float64Array(buffer, at, expiring);
    this.offsets = new Uint32Array(buffer, at += 8 * expiring, entries);
    this.sizes = new Uint32Array(buffer, at += 4 * entries, entries);
    this.sources = new Uint32Array(buffer, at + 4 * entries, sources);
  }
}
