/**
 * Delivered marks: for each lane, the highest sequence number that may have been delivered. After a crash, messages up
 * to the mark are redelivered, and no sequence number is used twice. The marks must survive every segment, so they have
 * a file of their own: a salt u32, then a list of records (`record_list.ts`) with marks of 11 bytes: queue id u32,
 * sequence number u48, lane u8. The latest mark wins. The file is not synced; marks are lost only after a power
 * failure.
 *
 * A consumer with a filter gets messages out of order. Each of them has a mark of its own, in a record that begins with a
 * mark with all bits set, so that the messages before it are not marked. Older versions take it for an ordinary mark.
 *
 * An empty file says that the marks are not known, and all messages are marked. A file can be emptied when the disk is
 * full and marks cannot be written.
 */
import { Buffer } from "node:buffer";
import fs from "node:fs";
import path from "node:path";
import { clearWay, joinPieces, keepAside, kindOf, replaceFile, setAside } from "../files/aside.ts";
import { appendAll, OWNER_ONLY, readIfThere } from "../files/files.ts";
import { keptAs } from "../manifest.ts";
import { RECORD_HEAD } from "./record.ts";
import { findListSalt, newSalt, readRecords, sealRecord } from "./record_list.ts";

const MARK = 11;
/** What a record of marks of one message begins with: the key and the sequence number of a mark that cannot exist. */
const SINGLES_KEY = 256 * (2 ** 32 - 1) + 255;
const SINGLES_SEQ = 2 ** 48 - 1;
const SALT = 4;
const HIGH = 2 ** 32;
/** The file is rewritten when it is longer than this, in bytes, and much longer than the current marks need. */
const REWRITE = 256 * 1024;

/** The delivered marks of all lanes, and their file. */
export class DeliveredMarks {
  readonly #file: string;
  /** The marks by key, which is made of queue id and lane. */
  readonly #marks = new Map<number, number>();
  /** The keys of marks that are not written yet. */
  readonly #changed = new Set<number>();
  /** The sequence numbers of messages with a mark of their own, by key. */
  readonly #singles = new Map<number, Set<number>>();
  /** Those that are not written yet. */
  readonly #newSingles = new Map<number, Set<number>>();
  /** The file is empty, because marks could not be written. */
  #unknown = false;
  #fd = -1;
  #salt = 0;
  #length = 0;
  #bytes = new Uint8Array(1024);

  constructor(file: string) {
    this.#file = file;
  }

  /** Marks the messages up to `seq` as possibly delivered. */
  set(queueId: number, lane: number, seq: number): void {
    const key = 256 * queueId + lane;
    const mark = this.#marks.get(key);
    if (mark !== undefined && mark >= seq) return;
    this.#marks.set(key, seq);
    this.#changed.add(key);
  }

  /** Marks one message as possibly delivered, and not those before it. */
  add(queueId: number, lane: number, seq: number): void {
    const key = 256 * queueId + lane;
    addTo(this.#singles, key, seq);
    addTo(this.#newSingles, key, seq);
  }

  /** Removes the mark of one message, which is settled. */
  remove(queueId: number, lane: number, seq: number): void {
    const key = 256 * queueId + lane;
    this.#singles.get(key)?.delete(seq);
    this.#newSingles.get(key)?.delete(seq);
  }

  /**
   * Reads the file.
   *
   * @param changed the file is not as the last clean stop left it, so that nothing in it is incomplete
   * @param visit called with each mark; returns false when the lane does not exist, to delete the mark
   * @param visitOne called with each mark of one message; returns false when it does not exist, to delete the mark
   * @returns whether the marks are complete; if not, every message may have been delivered
   */
  load(
    changed: boolean,
    visit: (queueId: number, lane: number, seq: number) => boolean,
    visitOne: (queueId: number, lane: number, seq: number) => boolean,
    problem: (text: string) => void,
  ): boolean {
    const kind = kindOf(this.#file);
    if (kind === "missing") return true;
    if (kind === "other") {
      this.#report("is not a file", setAside(this.#file), problem);
      return false;
    }
    const bytes = readIfThere(this.#file);
    if (bytes.length === 0) {
      this.#unknown = true;
      return false;
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const complete = this.#read(bytes, view, changed, problem);
    for (const [key, seq] of this.#marks) {
      if (!visit(Math.floor(key / 256), key % 256, seq)) this.#marks.delete(key);
    }
    for (const [key, seqs] of this.#singles) {
      for (const seq of seqs) if (!visitOne(Math.floor(key / 256), key % 256, seq)) seqs.delete(seq);
      if (seqs.size === 0) this.#singles.delete(key);
    }
    return complete;
  }

  /** Sets the marks from the content of the file, and repairs the file. */
  #read(bytes: Uint8Array, view: DataView, changed: boolean, problem: (text: string) => void): boolean {
    const read = (salt: number) =>
      readRecords(view, SALT, salt, (start, end) => {
        if ((end - start) % MARK !== 0) return false;
        const areSingle = end > start && readKey(view, start) === SINGLES_KEY &&
          readSeq(view, start) === SINGLES_SEQ;
        for (let at = areSingle ? start + MARK : start; at < end; at += MARK) {
          const key = readKey(view, at);
          if (areSingle) addTo(this.#singles, key, readSeq(view, at));
          else this.#marks.set(key, readSeq(view, at));
        }
        return true;
      });
    const head = bytes.length < SALT ? undefined : view.getUint32(0, true);
    let salt = head ?? newSalt();
    let scan = read(salt);
    if (scan.records === 0) {
      const found = findListSalt(view, SALT, head, (start, end) => (end - start) % MARK === 0);
      if (found !== undefined) scan = read(salt = found);
    }
    const { records, damaged, corrected, end, pieces } = scan;
    this.#salt = salt;
    const complete = (records > 0 || bytes.length === SALT) && damaged === 0 &&
      !(changed && end < bytes.length);
    if (!complete || corrected || salt !== head) {
      const kept = keepAside(this.#file);
      if (complete) problem(`The file delivered was damaged: all marks were recovered; ${keptAs(kept)}`);
      else this.#report("is damaged", kept, problem);
      const header = Buffer.alloc(SALT);
      header.writeUInt32LE(salt);
      const repaired = joinPieces(header, bytes, pieces);
      replaceFile(this.#file, repaired, false);
      this.#length = repaired.length;
    } else {
      if (end < bytes.length) fs.truncateSync(this.#file, end);
      this.#length = end;
    }
    this.#fd = fs.openSync(this.#file, "a", OWNER_ONLY);
    return complete;
  }

  #report(what: string, kept: string, problem: (text: string) => void): void {
    const name = path.basename(this.#file);
    problem(`The file ${name} ${what}: all messages are marked as redelivered; ${keptAs(kept)}`);
  }

  /**
   * Writes the new marks.
   *
   * @throws {Error} a file system error; the marks are kept for the next call, and the file says that they are not known
   */
  write(): void {
    const newSingles = countOf(this.#newSingles);
    if (this.#changed.size + newSingles === 0 && !this.#unknown) return;
    try {
      const needed = this.#marks.size + (this.#length > REWRITE ? countOf(this.#singles) : 0);
      if (this.#fd < 0 || this.#length > REWRITE && this.#length > 16 * MARK * needed) {
        this.#rewrite();
      } else {
        const end = this.#encode(0, this.#changed, this.#newSingles);
        appendAll(this.#fd, this.#bytes, 0, end, this.#length);
        this.#length += end;
      }
    } catch (error) {
      this.forget();
      throw error;
    }
    this.#unknown = false;
    this.#changed.clear();
    this.#newSingles.clear();
  }

  /** Empties the file, which needs no space: all messages are marked after a crash, until marks can be written again. */
  forget(): void {
    if (this.#unknown) return;
    this.close();
    try {
      fs.closeSync(fs.openSync(this.#file, "w", OWNER_ONLY));
      this.#unknown = true;
    } catch {
      // The directory is gone or cannot be written.
    }
  }

  /** Deletes the marks of a deleted queue. */
  delete(queueId: number): void {
    for (let lane = 0; lane < 256; lane++) {
      this.#marks.delete(256 * queueId + lane);
      this.#changed.delete(256 * queueId + lane);
      this.#singles.delete(256 * queueId + lane);
      this.#newSingles.delete(256 * queueId + lane);
    }
  }

  close(): void {
    if (this.#fd >= 0) fs.closeSync(this.#fd);
    this.#fd = -1;
  }

  #rewrite(): void {
    const salt = newSalt();
    this.#salt = salt;
    const end = this.#encode(SALT, this.#marks.keys(), this.#singles);
    new DataView(this.#bytes.buffer).setUint32(0, salt, true);
    const temporary = `${this.#file}.new`;
    clearWay(temporary);
    const fd = fs.openSync(temporary, "w", OWNER_ONLY);
    try {
      appendAll(fd, this.#bytes, 0, end, 0);
    } finally {
      fs.closeSync(fd);
    }
    fs.renameSync(temporary, this.#file);
    this.close();
    this.#fd = fs.openSync(this.#file, "a", OWNER_ONLY);
    this.#length = end;
  }

  /** Encodes a record of marks at `start` of the buffer, and one of marks of one message. @returns the end */
  #encode(
    start: number,
    keys: Iterable<number>,
    singles: ReadonlyMap<number, ReadonlySet<number>>,
  ): number {
    const single = countOf(singles);
    const needed = start + 2 * RECORD_HEAD + MARK * (this.#marks.size + single + 1);
    if (needed > this.#bytes.length) this.#bytes = new Uint8Array(2 * needed);
    const view = new DataView(this.#bytes.buffer);
    let at = start + RECORD_HEAD;
    for (const key of keys) at = writeMark(view, at, key, this.#marks.get(key)!);
    if (at === start + RECORD_HEAD) at = start;
    else sealRecord(view, start, at, this.#salt);
    if (single === 0) return at;
    const second = at;
    at = writeMark(view, second + RECORD_HEAD, SINGLES_KEY, SINGLES_SEQ);
    for (const [key, seqs] of singles) for (const seq of seqs) at = writeMark(view, at, key, seq);
    sealRecord(view, second, at, this.#salt);
    return at;
  }
}

/** The key of a mark: 256 times the queue id, plus the lane. */
function readKey(view: DataView, at: number): number {
  return 256 * view.getUint32(at, true) + view.getUint8(at + 10);
}

function readSeq(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) + HIGH * view.getUint16(at + 8, true);
}

/** @returns the end of the mark */
function writeMark(view: DataView, at: number, key: number, seq: number): number {
  view.setUint32(at, Math.floor(key / 256), true);
  view.setUint32(at + 4, seq, true);
  view.setUint16(at + 8, Math.floor(seq / HIGH), true);
  view.setUint8(at + 10, key % 256);
  return at + MARK;
}

function addTo(sets: Map<number, Set<number>>, key: number, seq: number): void {
  const set = sets.get(key);
  if (set === undefined) sets.set(key, new Set([seq]));
  else set.add(seq);
}

function countOf(sets: ReadonlyMap<number, ReadonlySet<number>>): number {
  let count = 0;
  for (const { size } of sets.values()) count += size;
  return count;
}
