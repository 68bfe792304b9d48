import { Buffer } from "node:buffer";
import fs from "node:fs";
import path from "node:path";
import { appendAll, OWNER_ONLY, readIfThere, syncFile, writeFailure } from "./files/files.ts";
import { RECORD_HEAD } from "./format/record.ts";
import { newSalt, readRecords, sealRecord } from "./format/record_list.ts";

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
 * u32, and a list of records (`record_list.ts`) with the JSON in UTF-8. What a change means is for the
 * caller. When the file has grown it is replaced by one with the present state.
 */
export class DefinitionsLog {
  /** Why the file lacks changes that were made in memory; `catchUp` gives it all there is. */
  writeError: Error | undefined;
  /** Whether the file lacked changes when it was opened: it was damaged, cut off, or not there. */
  incomplete = false;
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
    try {
      if (this.writeError !== undefined || this.#length > this.#rewriteAt) this.#rewrite();
      else this.#append(encode(change, this.#salt));
      this.writeError = undefined;
    } catch (error) {
      throw this.writeError = writeFailure(this.#options.directory, error);
    }
  }

  /** Tries to write what is missing. @returns whether it is there now */
  catchUp(): boolean {
    try {
      if (this.writeError !== undefined) this.#rewrite();
      this.writeError = undefined;
    } catch (error) {
      this.writeError = writeFailure(this.#options.directory, error);
    }
    return this.writeError === undefined;
  }

  close(): void {
    if (this.#fd >= 0) fs.closeSync(this.#fd);
    this.#fd = -1;
  }

  #append(record: Uint8Array): void {
    appendAll(this.#fd, record, 0, record.length, this.#length);
    this.#length += record.length;
    if (this.#options.sync) fs.fdatasyncSync(this.#fd);
  }

  #load(tell: (change: unknown) => void): void {
    const bytes = readIfThere(this.#file);
    if (bytes.length < SALT) {
      this.incomplete = true;
      return this.#replace(begin(newSalt()));
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const salt = this.#salt = view.getUint32(0, true);
    const { end, damaged } = readRecords(view, SALT, salt, (start, end) => {
      tell(JSON.parse(new TextDecoder().decode(bytes.subarray(start, end))));
    });
    if (damaged > 0) {
      this.#options.onProblem?.(
        `The file "${this.#file}" is damaged: ${damaged} bytes of definitions are lost`,
      );
    }
    this.incomplete = damaged > 0 || end < bytes.length;
    // What is behind the last good record was being written when the process ended.
    if (end < bytes.length) fs.truncateSync(this.#file, end);
    this.#fd = fs.openSync(this.#file, "a");
    this.#length = end;
    this.#rewriteAt = Math.max(REWRITE, end);
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
    const fd = fs.openSync(temporary, "w", OWNER_ONLY);
    try {
      appendAll(fd, bytes, 0, bytes.length, 0);
      if (this.#options.sync) fs.fdatasyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    fs.renameSync(temporary, this.#file);
    if (this.#options.sync) syncFile(this.#options.directory);
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
  sealRecord(new DataView(bytes.buffer), 0, bytes.length, salt);
  return bytes;
}

function begin(salt: number): Uint8Array {
  const bytes = new Uint8Array(SALT);
  new DataView(bytes.buffer).setUint32(0, salt, true);
  return bytes;
}
