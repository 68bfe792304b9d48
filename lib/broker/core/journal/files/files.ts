import fs from "node:fs";
import path from "node:path";
import process from "node:process";
import { FIRST_TRANSIENT } from "../segment.ts";

/** The number of files of sealed segments that are kept open, for each kind of file. */
const OPEN_FILES = 32;

/** The mode of new files: only the user of the broker can read messages, whatever the mode of the directory. */
export const OWNER_ONLY = 0o600;

/** Returns the name of a segment's log file. */
export function logName(number: number): string {
  return number < FIRST_TRANSIENT ? `${pad(number)}.log` : `transient-${pad(number - FIRST_TRANSIENT)}`;
}

/** Returns the name of a segment's acknowledgement file. */
export function ackName(number: number): string {
  return `${pad(number)}.ack`;
}

/** Returns the name of a segment's index file. */
export function indexName(number: number): string {
  return `${pad(number)}.idx`;
}

function pad(number: number): string {
  return String(number).padStart(8, "0");
}

/** Opens, reads and deletes the segment files of a data directory, and keeps some of them open. */
export class Files {
  readonly #directory: string;
  readonly #reads = new Map<number, number>();
  readonly #acks = new Map<number, number>();
  /** Files that another thread is deleting. */
  readonly #deleted = new Set<string>();
  #deletions = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  path(name: string): string {
    return path.join(this.#directory, name);
  }

  /** Creates the log of a segment, for appending. */
  createLog(number: number): number {
    return fs.openSync(this.path(logName(number)), "ax", OWNER_ONLY);
  }

  /** Opens the log of a segment, for appending. */
  openLog(number: number): number {
    return fs.openSync(this.path(logName(number)), "a");
  }

  /** Reads up to `length` bytes of a log. @returns the number of bytes read */
  read(number: number, bytes: Uint8Array, offset: number, length: number): number {
    const fd = this.#open(this.#reads, number, () => fs.openSync(this.path(logName(number)), "r"));
    let done = 0;
    while (done < length) {
      const count = fs.readSync(fd, bytes, done, length - done, offset + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  /** Appends to the acknowledgement file of a segment: all of the bytes, or none if it throws. */
  appendAcks(number: number, bytes: Uint8Array, length: number, fileLength: number): void {
    const fd = this.#open(this.#acks, number, () => fs.openSync(this.path(ackName(number)), "a", OWNER_ONLY));
    appendAll(fd, bytes, 0, length, fileLength);
  }

  /**
   * Deletes the files of a segment, the log first. Acknowledgements without a log have no effect, but a log without
   * acknowledgements would restore settled messages.
   *
   * Deleting a large file takes long, so the log gets another name and is deleted on another thread. It must not be
   * deleted under its own name there, because the next process may use this name before the thread has done it.
   *
   * @returns false when the log cannot be deleted: its acknowledgements stay, too, and a later start deletes both
   */
  unlink(number: number): boolean {
    this.#close(number);
    const file = this.path(logName(number));
    const deleted = `${file}.deleted-${process.pid}-${this.#deletions++}`;
    try {
      fs.renameSync(file, deleted);
      this.#deleted.add(deleted);
      fs.unlink(deleted, () => this.#deleted.delete(deleted));
    } catch {
      if (!tryRemove(file)) return false;
    }
    this.#removeBeside(number);
    return true;
  }

  /** Deletes the files of a segment synchronously; see `unlink`. */
  unlinkNow(number: number): boolean {
    this.#close(number);
    if (!tryRemove(this.path(logName(number)))) return false;
    this.#removeBeside(number);
    return true;
  }

  #removeBeside(number: number): void {
    if (number >= FIRST_TRANSIENT) return;
    // Without a log, a later start deletes them.
    tryRemove(this.path(ackName(number)));
    tryRemove(this.path(indexName(number)));
  }

  /** Closes the open files of a segment whose files are replaced. */
  forget(number: number): void {
    this.#close(number);
  }

  /** Completes the deletions and closes all files. */
  close(): void {
    for (const file of this.#deleted) tryRemove(file);
    this.#closeAll();
  }

  /** Returns the open file of a segment, or opens it. Without descriptors it closes the others first. */
  #open(fds: Map<number, number>, number: number, open: () => number): number {
    try {
      return cachedFd(fds, number, open);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "EMFILE" && code !== "ENFILE") throw error;
      this.#closeAll();
      return cachedFd(fds, number, open);
    }
  }

  #closeAll(): void {
    for (const fds of [this.#reads, this.#acks]) {
      for (const fd of fds.values()) fs.closeSync(fd);
      fds.clear();
    }
  }

  #close(number: number): void {
    for (const fds of [this.#reads, this.#acks]) {
      const fd = fds.get(number);
      if (fd === undefined) continue;
      fs.closeSync(fd);
      fds.delete(number);
    }
  }
}

/** Appends to a file: all of the bytes, or none if it throws. */
export function appendAll(
  fd: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  fileLength: number,
): void {
  let at = start;
  try {
    while (at < end) at += fs.writeSync(fd, bytes, at, end - at, null);
  } catch (error) {
    // A part may be written: a full disk accepts the bytes that still fit.
    fs.ftruncateSync(fd, fileLength);
    throw error;
  }
}

/**
 * Checks that an open file still has a name: what is written to a deleted file is lost.
 *
 * @throws {Error} the file was deleted
 */
export function checkLinked(fd: number, file: string): void {
  if (fs.fstatSync(fd).nlink > 0) return;
  throw new Error(
    `"${path.basename(file)}" was deleted while the broker was running, and the messages in it are lost`,
  );
}

/** Makes an error that describes a failed write to the data directory. */
export function writeFailure(directory: string, failure: unknown): Error {
  const { code, message } = failure as NodeJS.ErrnoException;
  const why = code === "ENOSPC"
    ? "the disk is full (ENOSPC)"
    : code === "EDQUOT"
    ? "the quota is used up (EDQUOT)"
    : message;
  return new Error(
    `Cannot write to the data directory "${directory}": ${why}; the broker continues when there is space`,
    { cause: failure },
  );
}

/** Creates a directory if it does not exist, and syncs the entries of the directories that were created. */
export function createDirectory(directory: string): void {
  const first = fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  const top = path.resolve(first);
  for (let created = path.resolve(directory);; created = path.dirname(created)) {
    try {
      syncFile(path.dirname(created));
    } catch {
      // The parent cannot be read by this user.
    }
    if (created === top || created === path.dirname(created)) return;
  }
}

/** Syncs a file or a directory to the disk. */
export function syncFile(path: string): void {
  const fd = fs.openSync(path, "r");
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Reads a file; returns an empty array when it does not exist. */
export function readIfThere(file: string): Uint8Array {
  try {
    return fs.readFileSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return new Uint8Array(0);
    throw error;
  }
}

/** Deletes a file if it exists. */
export function remove(file: string): void {
  fs.rmSync(file, { force: true });
}

/** Deletes a file if it exists. @returns false when it cannot be deleted */
function tryRemove(file: string): boolean {
  try {
    remove(file);
    return true;
  } catch {
    return false;
  }
}

/** Returns the open file of a segment, or opens it. When too many files are open, the one opened first is closed. */
function cachedFd(fds: Map<number, number>, number: number, open: () => number): number {
  let fd = fds.get(number);
  if (fd !== undefined) return fd;
  if (fds.size >= OPEN_FILES) {
    const [oldest, oldFd] = fds.entries().next().value!;
    fs.closeSync(oldFd);
    fds.delete(oldest);
  }
  fd = open();
  fds.set(number, fd);
  return fd;
}
