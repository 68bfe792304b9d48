import fs from "node:fs";
import path from "node:path";
import { FIRST_TRANSIENT } from "../segment.ts";

/** How many files of sealed segments are kept open, of each kind. */
const OPEN_FILES = 32;

/** Messages are for who runs the broker only, whatever the mode of a directory that was there before. */
export const OWNER_ONLY = 0o600;

/** The names of a segment's files. */
export function logName(number: number): string {
  return number < FIRST_TRANSIENT ? `${pad(number)}.log` : `transient-${pad(number - FIRST_TRANSIENT)}`;
}

export function ackName(number: number): string {
  return `${pad(number)}.ack`;
}

export function indexName(number: number): string {
  return `${pad(number)}.idx`;
}

function pad(number: number): string {
  return String(number).padStart(8, "0");
}

/** The files of a data directory, and the few of them that are kept open. */
export class Files {
  readonly #directory: string;
  readonly #reads = new Map<number, number>();
  readonly #acks = new Map<number, number>();
  /** Segments whose logs are being deleted. */
  readonly #unlinking = new Set<number>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  path(name: string): string {
    return path.join(this.#directory, name);
  }

  /** A new log, for appending. */
  createLog(number: number): number {
    return fs.openSync(this.path(logName(number)), "ax", OWNER_ONLY);
  }

  /** The log of a segment, for appending. */
  openLog(number: number): number {
    return fs.openSync(this.path(logName(number)), "a");
  }

  /** Reads as much of a log as fits. @returns how much that was */
  read(number: number, bytes: Uint8Array, offset: number, length: number): number {
    const fd = keep(this.#reads, number, () => fs.openSync(this.path(logName(number)), "r"));
    let done = 0;
    while (done < length) {
      const count = fs.readSync(fd, bytes, done, length - done, offset + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  /** Appends to the acknowledgements of a segment: all of the bytes, or none and an error. */
  appendAcks(number: number, bytes: Uint8Array, length: number, fileLength: number): void {
    const fd = keep(this.#acks, number, () => fs.openSync(this.path(ackName(number)), "a", OWNER_ONLY));
    appendAll(fd, bytes, 0, length, fileLength);
  }

  /**
   * Deletes the files of a segment without waiting for it, the log first: acknowledgements alone do nothing, a log
   * alone would bring back what was settled.
   *
   * @param done the log is gone
   */
  unlink(number: number, done: () => void): void {
    this.#close(number);
    this.#unlinking.add(number);
    fs.unlink(this.path(logName(number)), () => {
      if (!this.#unlinking.delete(number)) return;
      if (number < FIRST_TRANSIENT) {
        fs.unlink(this.path(ackName(number)), ignore);
        fs.unlink(this.path(indexName(number)), ignore);
      }
      done();
    });
  }

  /** Deletes the files of a segment now. */
  unlinkNow(number: number): void {
    this.#close(number);
    this.#unlinking.delete(number);
    remove(this.path(logName(number)));
    if (number >= FIRST_TRANSIENT) return;
    remove(this.path(ackName(number)));
    remove(this.path(indexName(number)));
  }

  /** Finishes what was begun, and closes all files. */
  close(): void {
    for (const number of [...this.#unlinking]) this.unlinkNow(number);
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

/** Writes at the end of a file: all of the bytes, or none and an error. */
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
    // A part of it may be there: a full disk takes what still fits.
    fs.ftruncateSync(fd, fileLength);
    throw error;
  }
}

/** What went wrong in a data directory, in words. */
export function writeFailure(directory: string, failure: unknown): Error {
  const { code, message } = failure as NodeJS.ErrnoException;
  const why = code === "ENOSPC"
    ? "the disk is full (ENOSPC)"
    : code === "EDQUOT"
    ? "the quota is used up (EDQUOT)"
    : message;
  return new Error(
    `Cannot write to the data directory "${directory}": ${why}; it goes on by itself when there is room`,
    { cause: failure },
  );
}

/** Makes a file safe against a power failure, or the names in a directory. */
export function syncFile(path: string): void {
  const fd = fs.openSync(path, "r");
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** A file's content, empty when it is not there. */
export function readIfThere(file: string): Uint8Array {
  try {
    return fs.readFileSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return new Uint8Array(0);
    throw error;
  }
}

export function remove(file: string): void {
  fs.rmSync(file, { force: true });
}

/** An open file by number; the one that was opened first is closed when there are too many. */
function keep(fds: Map<number, number>, number: number, open: () => number): number {
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

function ignore(): void {}
