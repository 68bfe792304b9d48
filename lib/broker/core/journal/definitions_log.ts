import { Buffer } from "node:buffer";
import fs from "node:fs";
import path from "node:path";
import { appendAll, OWNER_ONLY, readIfThere, syncFile, writeFailure } from "./files/files.ts";
import { RECORD_HEAD } from "./format/record.ts";
import { newSalt, readRecords, sealRecord } from "./format/record_list.ts";

const SALT = 4;
/**
 * The file is rewritten when it is longer than this, in bytes, and longer than twice its length after the last rewrite.
 */
const REWRITE = 64 * 1024;

export interface DefinitionsLogOptions {
  /** The data directory. The caller holds its lock. */
  readonly directory: string;
  /** Whether each change is synced before `append` returns. */
  readonly sync: boolean;
  /** Returns the changes that lead to the current state. A rewritten file begins with these. */
  readonly snapshot: () => Iterable<unknown>;
  /** Called with a description of damaged data, which is skipped. */
  readonly onProblem?: ((text: string) => void) | undefined;
}

/**
 * Stores the changes of definitions (queues, exchanges, bindings, users, …) in the file `definitions`: a salt u32, then
 * a list of records (`record_list.ts`), each with one change as JSON in UTF-8. The caller defines the changes. When the
 * file has grown, it is replaced by a file with the current state.
 */
export class DefinitionsLog {
  /** The reason why the file lacks changes that were made in memory; `catchUp` tries to write them. */
  writeError: Error | undefined;
  /** Whether the file lacked changes when it was opened, because it was damaged, truncated or missing. */
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
   * @param visit called with each change, in the order in which they were appended
   * @throws {Error} a file system error
   */
  static open(options: DefinitionsLogOptions, visit: (change: unknown) => void): DefinitionsLog {
    const log = new DefinitionsLog(options);
    log.#load(visit);
    return log;
  }

  /**
   * Appends a change that was already made in memory, so that `snapshot` includes it.
   *
   * @throws {Error} the change could not be written
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

  /** Tries to write the missing changes. @returns whether the file is complete */
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

  #load(visit: (change: unknown) => void): void {
    const bytes = readIfThere(this.#file);
    if (bytes.length < SALT) {
      this.incomplete = true;
      return this.#replace(begin(newSalt()));
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const salt = this.#salt = view.getUint32(0, true);
    const { end, damaged } = readRecords(view, SALT, salt, (start, end) => {
      visit(JSON.parse(new TextDecoder().decode(bytes.subarray(start, end))));
    });
    if (damaged > 0) {
      this.#options.onProblem?.(
        `The file "${this.#file}" is damaged: ${damaged} bytes of definitions are lost`,
      );
    }
    this.incomplete = damaged > 0 || end < bytes.length;
    // The bytes after the last valid record were being written when the process ended.
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

  /** Replaces the file atomically: at any moment there is one complete file. */
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
