/**
 * Recovery at a start: the lanes are filled from the indexes of the sealed segments and from a scan of the segments
 * without an index; then all acknowledgements are applied; then the delivered marks.
 *
 * No message is lost and no settled message comes back, wherever the process ended. Compaction writes a copy of each
 * live message before it deletes a segment, so both exist for some time. They are the same message, and the later copy
 * wins. An acknowledgement is written to the file of the segment that held the message at that time, but it applies to
 * the sequence number, and so to every copy. Therefore an acknowledgement must not be deleted before the last record
 * with its sequence number. Two rules ensure this:
 *
 * - The log of a segment is deleted before its acknowledgements.
 * - An older record with the same sequence number is in the source, the segment that the copy was made from. A segment
 *   with copies names their sources in records that precede the copies, and it is not deleted while the log of a source
 *   exists. This holds across restarts, and by induction for copies of copies. Sources are older than their copies, so
 *   there are no cycles.
 *
 * A source is deleted only after its copies are on disk; copies that are found at a start are synced first. Sequence
 * numbers are not reused while a file mentions them: `nextSeq` is greater than every sequence number in a record, an
 * acknowledgement or a mark.
 */
import fs from "node:fs";
import type { Lane } from "../queue/lane.ts";
import { decodeAcks } from "./format/acks.ts";
import type { DeliveredMarks } from "./format/delivered.ts";
import { ackName, type Files, indexName, logName, remove, syncFile } from "./files/files.ts";
import type { LaneLookup } from "./options.ts";
import { readSegmentHead, SEGMENT_HEAD } from "./format/record.ts";
import { scanLog } from "./format/scan.ts";
import { Segment, weigh } from "./segment.ts";
import { decodeIndex, type IndexRun, type SegmentIndex, writeIndex } from "./format/segment_index.ts";

/** The segments found in the data directory. */
export interface Recovered {
  /** The segments by number, in ascending order; all are sealed. */
  readonly segments: Map<number, Segment>;
  /** The number of the next segment. */
  readonly nextNumber: number;
}

/** One recovery of a data directory. */
class Recovery {
  readonly #path: string;
  readonly #files: Files;
  readonly #lookup: LaneLookup;
  readonly #problem: (text: string) => void;
  /** The lanes by queue id and lane number; null for a lane that does not exist. */
  readonly #lanes = new Map<number, Lane | null>();
  /** The buffer for files that are read. */
  #bytes = new Uint8Array(0);

  constructor(path: string, files: Files, lookup: LaneLookup, problem: (text: string) => void) {
    this.#path = path;
    this.#files = files;
    this.#lookup = lookup;
    this.#problem = problem;
  }

  run(marks: DeliveredMarks): Recovered {
    const numbers = this.#list();
    const segments = new Map<number, Segment>();
    for (const number of numbers) {
      const segment = this.#load(number, number === numbers[numbers.length - 1], segments);
      if (segment !== undefined) segments.set(number, segment);
    }
    for (const segment of segments.values()) this.#applyAcks(segment);
    marks.load((queueId, number, seq) => {
      const lane = this.#lane(queueId, number);
      lane?.restoreDelivered(seq);
      return lane !== null;
    });
    for (const lane of this.#lanes.values()) {
      lane?.tally((number, count, bytes) => {
        const segment = segments.get(number)!;
        segment.live += count;
        segment.liveWeight += bytes + count * weigh(0);
      });
    }
    return { segments, nextNumber: 1 + (numbers[numbers.length - 1] ?? 0) };
  }

  /** Returns the numbers of the segments, ascending. Files without a segment are removed. */
  #list(): number[] {
    const numbers: number[] = [];
    const names = fs.readdirSync(this.#path);
    for (const name of names) {
      const number = /^(\d{8,10})\.log$/.exec(name)?.[1];
      if (number !== undefined) numbers.push(Number(number));
    }
    const known = new Set(numbers);
    for (const name of names) {
      const beside = /^(\d{8,10})\.(ack|idx)$/.exec(name)?.[1];
      const orphan = beside !== undefined && !known.has(Number(beside));
      if (orphan || /^transient-\d+$/.test(name)) remove(this.#files.path(name));
    }
    return numbers.sort((a, b) => a - b);
  }

  #load(number: number, last: boolean, segments: Map<number, Segment>): Segment | undefined {
    const name = logName(number);
    const segment = new Segment(number);
    const length = fs.statSync(this.#files.path(name)).size;
    this.#reserve(SEGMENT_HEAD);
    const view = new DataView(this.#bytes.buffer);
    const salt = readSegmentHead(this.#bytes, view, this.#files.read(number, this.#bytes, 0, SEGMENT_HEAD));
    if (salt === undefined) {
      if (length <= SEGMENT_HEAD && last) this.#files.unlinkNow(number);
      else this.#problem(`The segment ${name} has no valid header: its messages are lost`);
      return undefined;
    }
    segment.salt = salt;
    segment.sealed = segment.finished = true;
    const index = this.#readIndex(number, length, salt) ?? this.#scan(segment, length, last);
    segment.end = segment.written = index.end;
    for (const run of index.runs) {
      this.#restore(run, number);
      let weight = run.sizes.length * weigh(0);
      for (let i = 0; i < run.sizes.length; i++) weight += run.sizes[i]!;
      segment.weight += weight;
    }
    const sources = index.sources.filter((source) => segments.has(source));
    if (sources.length > 0) {
      segment.sources = new Set(sources);
      // Its copies may not be on disk yet, and the sources are deleted as soon as they have no live messages.
      syncFile(this.#files.path(name));
    }
    return segment;
  }

  #readIndex(number: number, length: number, salt: number): SegmentIndex & { end: number } | undefined {
    const file = this.#files.path(indexName(number));
    const bytes = this.#readFile(file);
    if (bytes === undefined) return undefined;
    const index = decodeIndex(bytes, length, salt);
    if (index !== undefined) return { ...index, end: length };
    // It may be truncated, because index files are not synced.
    remove(file);
    return undefined;
  }

  /** Reads a segment without an index, truncates an incomplete record at its end, and writes an index. */
  #scan(segment: Segment, length: number, last: boolean): SegmentIndex & { end: number } {
    const { number, salt } = segment;
    const name = logName(number);
    const bytes = new Uint8Array(length);
    const scan = scanLog(bytes, new DataView(bytes.buffer), this.#files.read(number, bytes, 0, length), salt);
    const { index, end, damaged } = scan;
    if (damaged > 0) this.#problem(`The segment ${name} is damaged: ${damaged} bytes of messages are lost`);
    if (end < length) {
      if (!last) this.#problem(`The segment ${name} is truncated: its last ${length - end} bytes are lost`);
      fs.truncateSync(this.#files.path(name), end);
    }
    writeIndex(this.#files, number, index, end, salt);
    return { ...index, end };
  }

  #restore(run: IndexRun, segment: number): void {
    const lane = this.#lane(run.queueId, run.lane);
    lane?.restoreRun(run.firstSeq, segment, run.offsets, run.sizes, run.expiries, 0, run.offsets.length);
  }

  #applyAcks(segment: Segment): void {
    const name = ackName(segment.number);
    const file = this.#files.path(name);
    const bytes = this.#readFile(file);
    if (bytes === undefined) return;
    const { end, damaged } = decodeAcks(bytes, segment.salt, (queueId, number, from, to) => {
      const lane = this.#lane(queueId, number);
      if (lane === null) return;
      lane.removeRange(from, to);
      lane.skipTo(to + 1);
    });
    if (damaged > 0) {
      this.#problem(`The file ${name} is damaged: some acknowledged messages are delivered again`);
    }
    if (end < bytes.length) fs.truncateSync(file, end);
    segment.ackFileLength = end;
  }

  #lane(queueId: number, number: number): Lane | null {
    const key = 256 * queueId + number;
    let lane = this.#lanes.get(key);
    if (lane === undefined) this.#lanes.set(key, lane = this.#lookup.lane(queueId, number) ?? null);
    return lane;
  }

  /** Reads a file. The content is valid until the next file is read; undefined when the file does not exist. */
  #readFile(file: string): Uint8Array | undefined {
    let fd: number;
    try {
      fd = fs.openSync(file, "r");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
    try {
      const { size } = fs.fstatSync(fd);
      this.#reserve(size);
      let length = 0;
      while (length < size) {
        const count = fs.readSync(fd, this.#bytes, length, size - length, null);
        if (count === 0) break;
        length += count;
      }
      return this.#bytes.subarray(0, length);
    } finally {
      fs.closeSync(fd);
    }
  }

  #reserve(length: number): void {
    if (this.#bytes.length < length) this.#bytes = new Uint8Array(Math.max(2 * length, 64 * 1024));
  }
}

/**
 * Fills the lanes from a data directory.
 *
 * @param problem called with a description of damaged data, which is skipped
 * @throws {Error} a file system error
 */
export function recover(
  path: string,
  files: Files,
  marks: DeliveredMarks,
  lookup: LaneLookup,
  problem: (text: string) => void,
): Recovered {
  return new Recovery(path, files, lookup, problem).run(marks);
}
