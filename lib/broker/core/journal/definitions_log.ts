import { Buffer } from "node:buffer";
import fs from "node:fs";
import path from "node:path";
import { clearWay, joinPieces, keepAside, kindOf, setAside } from "./files/aside.ts";
import { appendAll, checkLinked, OWNER_ONLY, readIfThere, syncFile, writeFailure } from "./files/files.ts";
import { RECORD_HEAD } from "./format/record.ts";
import { findListSalt, type ListScan, newSalt, readRecords, sealRecord } from "./format/record_list.ts";
import { keptAs } from "./manifest.ts";

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
  /** Whether the directory holds data, so that a missing file means lost definitions. */
  readonly mustExist?: boolean | undefined;
  /** Whether the file is not as the last clean stop left it; the journal reports that. */
  readonly changed?: boolean | "cut" | undefined;
  /** Whether an incomplete file stays as it is until `complete` is called, so that a crash before has no effect. */
  readonly defer?: boolean | undefined;
  /** Called with a description of damaged data, which is skipped and kept in another file. */
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
  /** Whether changes were lost, other than one that was being written when the process ended. */
  damaged = false;
  readonly #options: DefinitionsLogOptions;
  readonly #file: string;
  #fd = -1;
  #salt = 0;
  #length = 0;
  #rewriteAt = REWRITE;
  /** The content of the file that `complete` writes. */
  #deferred: Uint8Array[] | undefined;

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
    if (this.#deferred !== undefined) return void this.#deferred.push(encode(change, this.#salt));
    try {
      if (this.writeError !== undefined || this.#length > this.#rewriteAt) this.#rewrite();
      else this.#append(encode(change, this.#salt));
      this.writeError = undefined;
    } catch (error) {
      throw this.writeError = writeFailure(this.#options.directory, error);
    }
  }

  /**
   * Replaces an incomplete file by its records and the changes that were appended since it was opened.
   *
   * @throws {Error} a file system error; the file is as it was
   */
  complete(): void {
    if (this.#deferred === undefined) return;
    this.#replace(Buffer.concat(this.#deferred));
    this.#deferred = undefined;
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
    checkLinked(this.#fd, this.#file);
    appendAll(this.#fd, record, 0, record.length, this.#length);
    this.#length += record.length;
    if (this.#options.sync) fs.fdatasyncSync(this.#fd);
  }

  #load(visit: (change: unknown) => void): void {
    const kind = kindOf(this.#file);
    const { directory, mustExist, changed, sync } = this.#options;
    if (kind === "other") {
      this.#report("is not a file", setAside(this.#file), "all definitions are lost");
    } else if (kind === "missing" && mustExist === true && changed !== "cut") {
      this.#options.onProblem?.(`The file "${this.#file}" is missing: all definitions are lost`);
    }
    const bytes = kind === "file" ? readIfThere(this.#file) : new Uint8Array(0);
    const { records, corrected, pieces, end, salt, head, ...scan } = this.#read(bytes, visit);
    // After a clean stop there is no incomplete record.
    const damaged = changed === true ? scan.damaged || bytes.length - end : scan.damaged;
    // A new directory has no such entry. The file is created with its salt, and a change is written at once.
    const unreadable = kind === "other" || (kind === "file" && records === 0 && bytes.length !== SALT);
    this.damaged = damaged > 0 || unreadable || changed === "cut" || (mustExist === true && records === 0);
    this.incomplete = this.damaged || end < bytes.length || records === 0;
    if (damaged > 0) {
      this.#report(`is damaged: ${damaged} bytes of definitions are lost`, keepAside(this.#file));
    } else if (mustExist === true && kind === "file" && records === 0 && bytes.length > SALT) {
      this.#report("has no valid record: the definitions in it are lost", keepAside(this.#file));
    } else if (records > 0 && (corrected || salt !== head)) {
      this.#report("was damaged: all definitions were recovered", keepAside(this.#file));
    }
    const repair = damaged > 0 || corrected || salt !== head;
    if (this.#options.defer === true && this.incomplete) {
      this.#salt = salt;
      this.#deferred = [repair ? joinPieces(begin(salt), bytes, pieces) : bytes.slice(0, end)];
      return;
    }
    if (repair) this.#replace(joinPieces(begin(salt), bytes, pieces));
    else {
      // The bytes after the last valid record were being written when the process ended.
      if (end < bytes.length) fs.truncateSync(this.#file, end);
      this.#fd = fs.openSync(this.#file, "a");
      this.#length = end;
    }
    this.#salt = salt;
    this.#rewriteAt = Math.max(REWRITE, this.#length);
    if (!sync) return;
    // An earlier process may have written the file without a sync.
    fs.fdatasyncSync(this.#fd);
    syncFile(directory);
  }

  /** Reads the records. The salt of the result is the one that they have, whatever the header says. */
  #read(
    bytes: Uint8Array,
    visit: (change: unknown) => void,
  ): ListScan & { salt: number; head: number | undefined } {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const head = bytes.length < SALT ? undefined : view.getUint32(0, true);
    const read = (salt: number) =>
      readRecords(view, SALT, salt, (start, end) => {
        let change: unknown;
        try {
          change = JSON.parse(new TextDecoder().decode(bytes.subarray(start, end)));
        } catch {
          return false;
        }
        visit(change);
        return true;
      });
    const scan = read(head ?? 0);
    if (scan.records > 0 || bytes.length <= SALT) return { ...scan, salt: head ?? newSalt(), head };
    const isObject = (start: number, end: number) => bytes[start] === 0x7b && bytes[end - 1] === 0x7d;
    const salt = findListSalt(view, SALT, head, isObject);
    return salt === undefined ? { ...scan, salt: newSalt(), head } : { ...read(salt), salt, head };
  }

  #report(what: string, kept: string, effect?: string): void {
    const text = effect === undefined ? what : `${what}: ${effect}`;
    this.#options.onProblem?.(`The file "${this.#file}" ${text}; ${keptAs(kept)}`);
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
    clearWay(temporary);
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
