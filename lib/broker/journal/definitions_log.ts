import { Buffer } from "node:buffer";
import crypto from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { crc32c } from "./crc32c.ts";
import { readIfThere } from "./delivered.ts";
import { appendAll, syncDirectory } from "./files.ts";
import { RECORD_HEAD } from "./record.ts";

const SALT = 4;
/** The file is written anew at the first change behind this size, in bytes, or behind twice its last new size. */
const REWRITE = 64 * 1024;

export interface DefinitionsLogOptions {
  /** The data directory; whoever opens this has its lock. */
  readonly directory: string;
  /** Whether each change is synced before `append` returns. */
  readonly sync: boolean;
  /** All changes that lead to the present state: what a new file begins with. */
  readonly snapshot: () => Iterable<unknown>;
  /** Told in words of what is damaged; it is passed over. */
  readonly onProblem?: ((text: string) => void) | undefined;
}

/**
 * The changes of definitions (queues, exchanges, bindings, users, …), each as JSON, in the file `definitions`: a salt
 * u32, and records of a length u32, a CRC-32C u32 with the salt, and the JSON in UTF-8. What a change means is for the
 * caller. When the file has grown it is replaced by one with the present state.
 */
export class DefinitionsLog {
  readonly #options: DefinitionsLogOptions;
  readonly #file: string;
  #fd = -1;
  #salt = 0;
  #length = 0;
  #rewriteAt = REWRITE;

  private constructor(options: DefinitionsLogOptions) {
    this.#options = options;
    this.#file = path.join(options.directory, "definitions");
  }

  /**
   * @param tell each change, in the order in which they were appended
   * @throws {Error} of the file system
   */
  static open(options: DefinitionsLogOptions, tell: (change: unknown) => void): DefinitionsLog {
    const log = new DefinitionsLog(options);
    log.#load(tell);
    return log;
  }

  /**
   * A change, once it has been made in memory: it is part of `snapshot` already.
   *
   * @throws {Error} it is not written
   */
  append(change: unknown): void {
    if (this.#length > this.#rewriteAt) return this.#rewrite();
    const record = encode(change, this.#salt);
    appendAll(this.#fd, record, 0, record.length, this.#length);
    this.#length += record.length;
    if (this.#options.sync) fs.fdatasyncSync(this.#fd);
  }

  close(): void {
    if (this.#fd >= 0) fs.closeSync(this.#fd);
    this.#fd = -1;
  }

  #load(tell: (change: unknown) => void): void {
    const bytes = readIfThere(this.#file);
    if (bytes.length < SALT) return this.#replace(begin(newSalt()));
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const salt = this.#salt = view.getUint32(0, true);
    let good = SALT;
    for (let start = SALT; start < bytes.length;) {
      const end = endOf(view, start, bytes.length, salt);
      if (end < 0) {
        start++;
        continue;
      }
      if (start > good) {
        this.#options.onProblem?.(
          `The file "${this.#file}" is damaged: ${start - good} bytes of definitions are lost`,
        );
      }
      tell(JSON.parse(new TextDecoder().decode(bytes.subarray(start + RECORD_HEAD, end))));
      start = good = end;
    }
    // What is behind the last good record was being written when the process ended.
    if (good < bytes.length) fs.truncateSync(this.#file, good);
    this.#fd = fs.openSync(this.#file, "a");
    this.#length = good;
    this.#rewriteAt = Math.max(REWRITE, good);
  }

  #rewrite(): void {
    const salt = newSalt();
    const parts = [begin(salt)];
    for (const change of this.#options.snapshot()) parts.push(encode(change, salt));
    this.#replace(Buffer.concat(parts));
  }

  /** Puts another file in the place of this one; at any moment one of them is there, whole. */
  #replace(bytes: Uint8Array): void {
    const temporary = `${this.#file}.new`;
    const fd = fs.openSync(temporary, "w", 0o600);
    try {
      appendAll(fd, bytes, 0, bytes.length, 0);
      if (this.#options.sync) fs.fdatasyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    fs.renameSync(temporary, this.#file);
    if (this.#options.sync) syncDirectory(this.#options.directory);
    this.close();
    this.#fd = fs.openSync(this.#file, "a");
    this.#salt = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    this.#length = bytes.length;
    this.#rewriteAt = Math.max(REWRITE, 2 * bytes.length);
  }
}

function encode(change: unknown, salt: number): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(change));
  const bytes = new Uint8Array(RECORD_HEAD + json.length);
  bytes.set(json, RECORD_HEAD);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, json.length, true);
  view.setUint32(4, crc32c(view, RECORD_HEAD, bytes.length, salt), true);
  return bytes;
}

/** Where the record at `start` ends, or -1 when there is no good one. */
function endOf(view: DataView, start: number, length: number, salt: number): number {
  if (start + RECORD_HEAD > length) return -1;
  const end = start + RECORD_HEAD + view.getUint32(start, true);
  if (end > length || end === start + RECORD_HEAD) return -1;
  return crc32c(view, start + RECORD_HEAD, end, salt) === view.getUint32(start + 4, true) ? end : -1;
}

function newSalt(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}

function begin(salt: number): Uint8Array {
  const bytes = new Uint8Array(SALT);
  new DataView(bytes.buffer).setUint32(0, salt, true);
  return bytes;
}
