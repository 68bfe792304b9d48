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
 * A message that replaces another one, for example a dead letter, names it in its record: the origin. It acknowledges
 * the origin, because the acknowledgement itself is written only when the replacement is safe (`held_acks.ts`).
 *
 * What is damaged is kept under another name, reported, and replaced by what can be read of it.
 *
 * A source is deleted only after its copies are on disk; copies that are found at a start are synced first. Sequence
 * numbers are not reused while a file mentions them: `nextSeq` is greater than every sequence number in a record, an
 * origin, an acknowledgement or a mark.
 */
import fs from "node:fs";
import { GONE, type Lane } from "../queue/lane.ts";
import { keepAside, kindOf, replaceFile, setAside } from "./files/aside.ts";
import { ackName, type Files, logName, readIfThere, remove, syncFile } from "./files/files.ts";
import { type AckRange, addAck, decodeAcks, encodeRanges, isAckRecord } from "./format/acks.ts";
import type { DeliveredMarks } from "./format/delivered.ts";
import { findListSalt, type ListScan } from "./format/record_list.ts";
import type { IndexRun, Origin } from "./format/segment_index.ts";
import { countLive, keptAs, type Manifest } from "./manifest.ts";
import type { LaneLookup } from "./options.ts";
import { FIRST_TRANSIENT, type Segment, weigh } from "./segment.ts";
import { readHead, readSegment, type SegmentFile } from "./segment_file.ts";

/** The highest number of a segment that is read. Higher ones are a mistake of somebody else. */
const MAX_NUMBER = FIRST_TRANSIENT - 2 ** 20;

/** The segments found in the data directory. */
export interface Recovered {
  /** The segments by number, in ascending order; all are sealed. */
  readonly segments: Map<number, Segment>;
  /** The number of the next segment, and numbers that must not be used. */
  readonly nextNumber: number;
  readonly skipped: ReadonlySet<number>;
  /** The last segment, if new messages can follow. */
  readonly last: { readonly segment: Segment; readonly content: Uint8Array } | undefined;
}

/** What recovery needs. */
export interface RecoveryOptions {
  readonly path: string;
  readonly files: Files;
  readonly marks: DeliveredMarks;
  readonly lookup: LaneLookup;
  /** What the last clean stop left; undefined after a crash. */
  readonly manifest: Manifest | undefined;
  /** The last segment can be continued up to this length. */
  readonly resumable: number;
  /** Called with a description of damaged data. */
  readonly problem: (text: string) => void;
}

/** One recovery of a data directory. */
class Recovery {
  readonly #options: RecoveryOptions;
  readonly #files: Files;
  readonly #problem: (text: string) => void;
  /** The lanes by queue id and lane number; null for a lane that does not exist. */
  readonly #lanes = new Map<number, Lane | null>();
  readonly #segments = new Map<number, Segment>();
  readonly #skipped = new Set<number>();
  /** The messages that others replaced, by the segment of the replacement. */
  readonly #origins = new Map<number, readonly Origin[]>();
  /** Segments whose acknowledgements are not complete: their messages may have been acknowledged. */
  readonly #unsure = new Set<number>();
  #last: SegmentFile | undefined;

  constructor(options: RecoveryOptions) {
    this.#options = options;
    this.#files = options.files;
    this.#problem = options.problem;
  }

  run(): Recovered {
    const { manifest, lookup } = this.#options;
    const names = fs.readdirSync(this.#options.path);
    const numbers = this.#setCopiesAside(this.#list(names));
    for (const number of numbers) this.#load(number, number === numbers[numbers.length - 1]);
    for (const segment of this.#segments.values()) this.#applyAcks(segment);
    this.#removeOrphans(names, new Set(numbers));
    this.#applyOrigins();
    this.#applyMarks();
    for (const lane of this.#lanes.values()) {
      lane?.tally((number, count, bytes) => {
        const segment = this.#segments.get(number)!;
        segment.live += count;
        segment.liveWeight += bytes + count * weigh(0);
      });
    }
    manifest?.report(countLive(this.#found()), (number) => this.#segments.has(number), lookup, this.#problem);
    const last = this.#last?.content === undefined ? undefined : this.#last;
    return {
      segments: this.#segments,
      nextNumber: 1 + (numbers[numbers.length - 1] ?? 0),
      skipped: this.#skipped,
      last: last === undefined ? undefined : { segment: last.segment, content: last.content! },
    };
  }

  /** Returns the numbers of the segments, ascending. Everything else with such a name is reported. */
  #list(names: readonly string[]): number[] {
    const numbers: number[] = [];
    for (const name of names) {
      const digits = /^(\d{8,})\.log$/.exec(name)?.[1];
      if (digits === undefined) continue;
      const number = Number(digits);
      const isNumber = number > 0 && number <= MAX_NUMBER && logName(number) === name;
      if (isNumber && kindOf(this.#files.path(name)) === "file") numbers.push(number);
      else {
        const why = isNumber ? "it is not a file" : "it is not the name of a segment";
        this.#problem(`"${name}" in the data directory is ignored: ${why}`);
        if (isNumber) this.#skipped.add(number);
      }
    }
    return numbers.sort((a, b) => a - b);
  }

  /** Sets aside copies of segments, which somebody has put there: each segment has its own salt. */
  #setCopiesAside(numbers: readonly number[]): number[] {
    const bySalt = new Map<number, number[]>();
    const named = new Map<number, number | undefined>();
    for (const number of numbers) {
      const head = readHead(this.#files, number);
      if (head === undefined) continue;
      named.set(number, head.number);
      const same = bySalt.get(head.salt);
      if (same === undefined) bySalt.set(head.salt, [number]);
      else same.push(number);
    }
    const copies = new Set<number>();
    for (const same of bySalt.values()) {
      const original = same.find((number) => named.get(number) === number) ?? same[0]!;
      for (const number of same) {
        if (number === original) continue;
        copies.add(number);
        this.#files.forget(number);
        const kept = setAside(this.#files.path(logName(number)));
        this.#problem(`The segment ${logName(number)} is a copy of ${logName(original)}; ${keptAs(kept)}`);
      }
    }
    return numbers.filter((number) => !copies.has(number));
  }

  #load(number: number, last: boolean): void {
    const { manifest, lookup, resumable } = this.#options;
    const name = logName(number);
    const loaded = readSegment(this.#files, {
      number,
      last,
      changed: manifest?.differs(name) ?? false,
      readUpTo: resumable,
      describe: (queueId, seq) => `message ${seq} of queue ${lookup.nameOf?.(queueId) ?? queueId}`,
      problem: this.#problem,
    });
    if (loaded === undefined) return;
    const { segment, index } = loaded;
    for (const run of index.runs) {
      this.#restore(run, number);
      let weight = run.sizes.length * weigh(0);
      for (let i = 0; i < run.sizes.length; i++) weight += run.sizes[i]!;
      segment.weight += weight;
    }
    if (index.origins.length > 0) this.#origins.set(number, index.origins);
    const sources = index.sources.filter((source) => this.#segments.has(source));
    if (sources.length > 0) {
      segment.sources = new Set(sources);
      // Its copies may not be on disk yet, and the sources are deleted as soon as they have no live messages.
      syncFile(this.#files.path(name));
    }
    this.#segments.set(number, segment);
    if (last) this.#last = loaded;
  }

  #restore(run: IndexRun, segment: number): void {
    const lane = this.#lane(run.queueId, run.lane);
    lane?.restoreRun(run.firstSeq, segment, run.offsets, run.sizes, run.expiries, 0, run.offsets.length);
  }

  #applyAcks(segment: Segment): void {
    const { manifest } = this.#options;
    const { number } = segment;
    const name = ackName(number);
    const file = this.#files.path(name);
    if (manifest?.isCut(name) === true) this.#unsure.add(number);
    const kind = kindOf(file);
    if (kind === "missing") return;
    if (kind === "other") {
      this.#unsure.add(number);
      return this.#reportAcks(name, "is not a file", setAside(file));
    }
    const bytes = readIfThere(file);
    const { ranges, scan, salt } = this.#readAcks(bytes, [segment.salt]);
    const { corrected, end } = scan;
    // After a clean stop there is no incomplete record.
    const damaged = scan.damaged +
      (manifest?.differs(name) === true && scan.damaged === 0 ? bytes.length - end : 0);
    for (const range of ranges) this.#applyRange(range);
    if (damaged > 0) this.#unsure.add(number);
    if (damaged > 0 || corrected || salt !== segment.salt) {
      const kept = keepAside(file);
      if (damaged > 0) this.#reportAcks(name, "is damaged", kept);
      else {this.#problem(
          `The file ${name} was damaged or renamed: all acknowledgements in it were recovered; ${
            keptAs(kept)
          }`,
        );}
      if (ranges.length === 0) return remove(file);
      const repaired = encodeRanges(ranges, segment);
      replaceFile(file, repaired, false);
      segment.ackFileLength = repaired.length;
    } else {
      if (end < bytes.length) fs.truncateSync(file, end);
      segment.ackFileLength = end;
    }
  }

  /** Reads acknowledgements with the first salt that fits; the file may belong to another segment. */
  #readAcks(
    bytes: Uint8Array,
    salts: readonly number[],
  ): { ranges: AckRange[]; scan: ListScan; salt: number } {
    const others = [...this.#segments.values()].map(({ salt }) => salt);
    const tried = [...salts, ...(this.#options.manifest?.salts ?? []), ...others];
    for (const salt of bytes.length === 0 ? tried.slice(0, 1) : tried) {
      const ranges: AckRange[] = [];
      const scan = decodeAcks(bytes, salt, (range) => ranges.push(range));
      if (scan.records > 0) return { ranges, scan, salt };
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const salt = findListSalt(view, 0, undefined, isAckRecord) ?? tried[0] ?? 0;
    const ranges: AckRange[] = [];
    return { scan: decodeAcks(bytes, salt, (range) => ranges.push(range)), ranges, salt };
  }

  #applyRange({ queueId, lane: number, from, to }: AckRange): void {
    const lane = this.#lane(queueId, number);
    if (lane === null) return;
    lane.removeRange(from, to);
    lane.skipTo(to + 1);
  }

  #reportAcks(name: string, what: string, kept: string): void {
    this.#problem(
      `The file ${name} ${what}: some acknowledged messages are delivered again, marked as redelivered; ${
        keptAs(kept)
      }`,
    );
  }

  /** Applies and removes acknowledgements without a segment, and removes other files that are not needed. */
  #removeOrphans(names: readonly string[], logs: ReadonlySet<number>): void {
    const { manifest } = this.#options;
    for (const name of names) {
      const file = this.#files.path(name);
      const [, digits, extension] = /^(\d{8,10})\.(ack|idx)$/.exec(name) ?? [];
      const orphan = digits !== undefined && !this.#segments.has(Number(digits));
      if (!orphan && !/^transient-\d+$|\.deleted-\d+-\d+$/.test(name) || kindOf(file) !== "file") continue;
      if (extension !== "ack") {
        remove(file);
        continue;
      }
      let moved = false;
      for (const range of this.#readAcks(readIfThere(file), []).ranges) {
        moved = this.#moveAcks(range) || moved;
        this.#applyRange(range);
      }
      // Not before they are written again: the next start finds that they have no effect.
      if (moved) continue;
      // The log was deleted by this program, unless it could not be read now or the last clean stop left it.
      const number = Number(digits);
      if (logs.has(number) || manifest?.lists(logName(number)) === true) setAside(file);
      else remove(file);
    }
  }

  /**
   * Notes the acknowledgements of messages in segments for the next write, because their own segment is gone: somebody
   * renamed its log, for example.
   *
   * @returns whether there are any
   */
  #moveAcks({ queueId, lane: number, from, to }: AckRange): boolean {
    const lane = this.#lane(queueId, number);
    if (lane === null) return false;
    const first = lane.nextLive(from);
    for (let seq = first; seq >= 0 && seq <= to; seq = lane.nextLive(seq + 1)) {
      addAck(this.#segments.get(lane.segmentAt(seq))!, queueId, number, seq);
    }
    return first >= 0 && first <= to;
  }

  /** Removes the messages that others replaced, and notes these acknowledgements for the next write. */
  #applyOrigins(): void {
    for (const [segment, origins] of this.#origins) {
      let applied = false;
      for (const { queueId, lane: number, seq } of origins) {
        const lane = this.#lane(queueId, number);
        if (lane === null) continue;
        lane.skipTo(seq + 1);
        if (lane.stateAt(seq) === GONE) continue;
        addAck(this.#segments.get(lane.segmentAt(seq))!, queueId, number, seq);
        lane.remove(seq);
        applied = true;
      }
      // The replacements may not be on disk yet; see `HeldAcks`.
      if (applied) syncFile(this.#files.path(logName(segment)));
    }
  }

  #applyMarks(): void {
    const { marks, manifest } = this.#options;
    const changed = manifest?.differs("delivered") === true;
    const complete = marks.load(
      changed,
      (queueId, number, seq) => {
        const lane = this.#lane(queueId, number);
        lane?.restoreDelivered(seq);
        return lane !== null;
      },
      (queueId, number, seq) => this.#lane(queueId, number)?.restoreDeliveredOne(seq) ?? false,
      this.#problem,
    );
    const known = complete && manifest?.isCut("delivered") !== true;
    for (const [key, lane] of this.#lanes) {
      if (lane === null || (known && !this.#isUnsure(lane))) continue;
      // The next start must mark them again.
      marks.set(Math.floor(key / 256), key % 256, lane.nextSeq - 1);
      lane.restoreDelivered(lane.nextSeq - 1);
    }
  }

  /** Whether a lane has messages that may have been acknowledged. */
  #isUnsure(lane: Lane): boolean {
    let unsure = false;
    if (this.#unsure.size > 0) lane.tally((number) => unsure ||= this.#unsure.has(number));
    return unsure;
  }

  *#found(): Iterable<readonly [queueId: number, lane: Lane]> {
    for (const [key, lane] of this.#lanes) if (lane !== null) yield [Math.floor(key / 256), lane];
  }

  #lane(queueId: number, number: number): Lane | null {
    const key = 256 * queueId + number;
    let lane = this.#lanes.get(key);
    if (lane === undefined) this.#lanes.set(key, lane = this.#options.lookup.lane(queueId, number) ?? null);
    return lane;
  }
}

/**
 * Fills the lanes from a data directory.
 *
 * @throws {Error} a file system error
 */
export function recover(options: RecoveryOptions): Recovered {
  return new Recovery(options).run();
}
