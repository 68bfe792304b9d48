/**
 * Up to which position of each lane messages may have been delivered, so that after a crash they come as redelivered
 * and no position is given twice. It has a file of its own, since what it says must outlive any segment: a salt u32,
 * and a list of records (`record_list.ts`) of marks of 11 bytes: queue id u32, sequence number u48, lane u8. Later marks win. Nothing waits for it to be on disk: it says too little only after a power failure.
 */
import fs from "node:fs";
import { appendAll, OWNER_ONLY, readIfThere } from "../files/files.ts";
import { RECORD_HEAD } from "./record.ts";
import { newSalt, readRecords, sealRecord } from "./record_list.ts";

const MARK = 11;
const SALT = 4;
const HIGH = 2 ** 32;
/** The file is written anew when it has become this long and has many times what is in it, in bytes. */
const REWRITE = 256 * 1024;

export class DeliveredMarks {
  readonly #file: string;
  /** By queue id and lane, `key`. */
  readonly #marks = new Map<number, number>();
  /** What is not written yet. */
  readonly #changed = new Set<number>();
  #fd = -1;
  #salt = 0;
  #length = 0;
  #bytes = new Uint8Array(1024);

  constructor(file: string) {
    this.#file = file;
  }

  /** Positions up to `seq` may have been delivered. */
  set(queueId: number, lane: number, seq: number): void {
    const key = 256 * queueId + lane;
    const mark = this.#marks.get(key);
    if (mark !== undefined && mark >= seq) return;
    this.#marks.set(key, seq);
    this.#changed.add(key);
  }

  /**
   * Reads what was written.
   *
   * @param tell returns false when there is no such lane any more
   */
  load(tell: (queueId: number, lane: number, seq: number) => boolean): void {
    const bytes = readIfThere(this.#file);
    if (bytes.length < SALT) return;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#salt = view.getUint32(0, true);
    const { end } = readRecords(view, SALT, this.#salt, (start, end) => {
      for (let at = start; at + MARK <= end; at += MARK) {
        const seq = view.getUint32(at + 4, true) + HIGH * view.getUint16(at + 8, true);
        this.#marks.set(256 * view.getUint32(at, true) + view.getUint8(at + 10), seq);
      }
    });
    for (const [key, seq] of this.#marks) {
      if (!tell(Math.floor(key / 256), key % 256, seq)) this.#marks.delete(key);
    }
    if (end < bytes.length) fs.truncateSync(this.#file, end);
    this.#fd = fs.openSync(this.#file, "a", OWNER_ONLY);
    this.#length = end;
  }

  /**
   * Hands over what is new.
   *
   * @throws {Error} of the file system; it is kept then
   */
  write(): void {
    if (this.#changed.size === 0) return;
    if (this.#fd < 0 || this.#length > REWRITE && this.#length > 16 * MARK * this.#marks.size) {
      this.#rewrite();
    } else {
      const end = this.#encode(0, this.#changed);
      appendAll(this.#fd, this.#bytes, 0, end, this.#length);
      this.#length += end;
    }
    this.#changed.clear();
  }

  /** The queue is gone. */
  delete(queueId: number): void {
    for (let lane = 0; lane < 256; lane++) {
      this.#marks.delete(256 * queueId + lane);
      this.#changed.delete(256 * queueId + lane);
    }
  }

  close(): void {
    if (this.#fd >= 0) fs.closeSync(this.#fd);
    this.#fd = -1;
  }

  #rewrite(): void {
    const salt = newSalt();
    this.#salt = salt;
    const end = this.#encode(SALT, this.#marks.keys());
    new DataView(this.#bytes.buffer).setUint32(0, salt, true);
    const temporary = `${this.#file}.new`;
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

  /** A record of marks at `start` of the bytes. @returns where it ends */
  #encode(start: number, keys: Iterable<number>): number {
    let at = start + RECORD_HEAD;
    const needed = at + MARK * this.#marks.size;
    if (needed > this.#bytes.length) this.#bytes = new Uint8Array(2 * needed);
    const view = new DataView(this.#bytes.buffer);
    for (const key of keys) {
      const seq = this.#marks.get(key)!;
      view.setUint32(at, Math.floor(key / 256), true);
      view.setUint32(at + 4, seq, true);
      view.setUint16(at + 8, Math.floor(seq / HIGH), true);
      view.setUint8(at + 10, key % 256);
      at += MARK;
    }
    sealRecord(view, start, at, this.#salt);
    return at;
  }
}
