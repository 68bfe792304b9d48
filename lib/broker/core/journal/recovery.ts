/**
 * A start: the lanes are filled from the indexes of the sealed segments and from what is read of the one behind them,
 * then all acknowledgements are applied, then the marks of what was delivered.
 *
 * Why nothing comes back that was settled, and nothing is lost, wherever the process ended: compaction writes a copy
 * of each live message before it deletes a segment, so for a while both are there. A later copy wins, that is all there
 * is to do about that, for they are the same message. An acknowledgement is written beside the segment in which the
 * message lay at that time, but it is final: it holds for the position, wherever copies of it are found. So what must
 * not happen is that an acknowledgement is deleted and a record that it speaks of is not. There are two ways to that:
 *
 * - A segment's own records go before its acknowledgements: the log is deleted first.
 * - An older record of a position lies in the segment that the copy was made from. A segment that holds copies names
 *   their sources in records in front of them, and is not deleted while the log of one of these exists. That holds
 *   across restarts, and by induction for copies of copies. Since sources are older there are no cycles.
 *
 * The source goes only when its copies are on disk; those that a start finds are synced before all else. Positions are not given twice while anything on disk speaks of
 * them, for `nextSeq` is behind every record, every acknowledgement and every mark.
 */
import fs from "node:fs";
import type { Lane } from "../queue/lane.ts";
import { decodeAcks } from "./format/acks.ts";
import type { DeliveredMarks } from "./format/delivered.ts";
import { ackName, type Files, indexName, logName, remove, syncFile } from "./files/files.ts";
import type { Directory } from "./options.ts";
import { readSegmentHead, SEGMENT_HEAD } from "./format/record.ts";
import { scanLog } from "./format/scan.ts";
import { Segment, weigh } from "./segment.ts";
import { decodeIndex, type Run, type SegmentIndex, writeIndex } from "./format/segment_index.ts";

/** What there was. */
export interface Recovered {
  /** By number, ascending; all sealed. */
  readonly segments: Map<number, Segment>;
  /** The number that the next segment gets. */
  readonly nextNumber: number;
}

class Recovery {
  readonly #path: string;
  readonly #files: Files;
  readonly #directory: Directory;
  readonly #problem: (text: string) => void;
  /** By queue id and lane; null for those that are not there any more. */
  readonly #lanes = new Map<number, Lane | null>();
  /** What indexes are read into. */
  #bytes = new Uint8Array(0);

  constructor(path: string, files: Files, directory: Directory, problem: (text: string) => void) {
    this.#path = path;
    this.#files = files;
    this.#directory = directory;
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

  /** The numbers of the segments, ascending. What belongs to none is removed. */
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
      else this.#problem(`The segment ${name} has no valid beginning: its messages are lost`);
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
      // Its copies may not be on disk yet, and these go as soon as they are dead.
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
    // It may be cut off, for nothing waits for it to be on disk.
    remove(file);
    return undefined;
  }

  /** Reads a segment that has no index, cuts off what is torn, and gives it one. */
  #scan(segment: Segment, length: number, last: boolean): SegmentIndex & { end: number } {
    const { number, salt } = segment;
    const name = logName(number);
    const bytes = new Uint8Array(length);
    const scan = scanLog(bytes, new DataView(bytes.buffer), this.#files.read(number, bytes, 0, length), salt);
    const { index, end, damaged } = scan;
    if (damaged > 0) this.#problem(`The segment ${name} is damaged: ${damaged} bytes of messages are lost`);
    if (end < length) {
      if (!last) this.#problem(`The segment ${name} is cut off: its last ${length - end} bytes are lost`);
      fs.truncateSync(this.#files.path(name), end);
    }
    writeIndex(this.#files, number, index, end, salt);
    return { ...index, end };
  }

  #restore(run: Run, segment: number): void {
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
      this.#problem(`The file ${name} is damaged: some messages that were acknowledged come again`);
    }
    if (end < bytes.length) fs.truncateSync(file, end);
    segment.ackFileLength = end;
  }

  #lane(queueId: number, number: number): Lane | null {
    const key = 256 * queueId + number;
    let lane = this.#lanes.get(key);
    if (lane === undefined) this.#lanes.set(key, lane = this.#directory.lane(queueId, number) ?? null);
    return lane;
  }

  /** A file's content, valid until the next one is read; undefined when it is not there. */
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
 * @param problem told in words of what is damaged; it is passed over
 * @throws {Error} of the file system
 */
export function recover(
  path: string,
  files: Files,
  marks: DeliveredMarks,
  directory: Directory,
  problem: (text: string) => void,
): Recovered {
  return new Recovery(path, files, directory, problem).run(marks);
}
