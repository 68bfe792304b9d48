import fs from "node:fs";
import { syncFile } from "./files.ts";
import type { Log } from "../log.ts";
import type { Segment } from "../segment.ts";

/**
 * Brings the log to the disk, one `fdatasync` at a time, off the thread. What is written meanwhile is for the next
 * one: batches form by themselves.
 */
export class Syncer {
  /** The log is on disk up to here. */
  durable: number;
  /** A sync failed. What the system had may be lost, and trying again would only hide that. */
  failure: Error | undefined;
  readonly #log: Log;
  readonly #directory: string;
  readonly #done: () => void;
  /** Sealed segments whose files are open until they are synced. */
  #waiting: Segment[] = [];
  /** The segments that are being synced, and how many syncs of files that are. */
  #flying: readonly Segment[] = [];
  #running = 0;
  #closed = false;

  /** @param done a sync has come to its end */
  constructor(log: Log, directory: string, done: () => void) {
    this.#log = log;
    this.#directory = directory;
    this.#done = done;
    this.durable = log.written;
  }

  get running(): boolean {
    return this.#running > 0;
  }

  /** How many sealed segments wait for a sync. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** A sealed segment is to be synced, and its file closed then. */
  add(segment: Segment): void {
    this.#waiting.push(segment);
  }

  /** The segment is to be deleted. @returns false as long as a sync of it is under way */
  release(segment: Segment): boolean {
    if (segment.syncing) return false;
    if (segment.fd < 0) return true;
    const at = this.#waiting.indexOf(segment);
    if (at >= 0) this.#waiting.splice(at, 1);
    close(segment);
    return true;
  }

  /** Starts a sync of all that is written, unless one is under way. */
  start(): void {
    if (this.#running > 0 || this.failure !== undefined) return;
    const target = this.#log.written;
    const sealed = this.#waiting;
    this.#waiting = [];
    const head = this.#log.head;
    const files = head !== undefined && head.fd >= 0 ? [...sealed, head] : sealed;
    const ended = (error: Error | null | undefined) => {
      if (error) this.failure ??= error;
      if (--this.#running > 0) return;
      this.#flying = [];
      for (const segment of files) segment.syncing = false;
      for (const segment of sealed) close(segment);
      if (this.#closed) return this.close();
      if (this.failure === undefined) this.durable = Math.max(this.durable, target);
      this.#done();
    };
    this.#flying = files;
    this.#running = files.length;
    if (this.#log.directoryChanged) {
      this.#log.directoryChanged = false;
      this.#running++;
      fs.open(this.#directory, "r", (error, fd) => {
        if (error) return ended(error);
        fs.fsync(fd, (error) => fs.close(fd, () => ended(error)));
      });
    }
    for (const segment of files) {
      segment.syncing = true;
      fs.fdatasync(segment.fd, ended);
    }
    if (this.#running === 0) this.durable = target;
  }

  /**
   * Syncs all that is written, now.
   *
   * @throws {Error} of the file system
   */
  now(): void {
    if (this.failure !== undefined) throw this.failure;
    const { head } = this.#log;
    try {
      // What is being synced off the thread may not be there yet.
      for (const segment of this.#flying) fs.fdatasyncSync(segment.fd);
      for (const segment of this.#waiting) fs.fdatasyncSync(segment.fd);
      if (head !== undefined && head.fd >= 0) fs.fdatasyncSync(head.fd);
      syncFile(this.#directory);
    } catch (error) {
      throw this.failure = error as Error;
    }
    this.#log.directoryChanged = false;
    this.durable = this.#log.written;
    this.#closeWaiting();
  }

  /** Closes what is open, as soon as no sync needs it. */
  close(): void {
    this.#closed = true;
    this.#closeWaiting();
    const { head } = this.#log;
    if (head !== undefined && !head.syncing) close(head);
  }

  #closeWaiting(): void {
    for (const segment of this.#waiting) if (!segment.syncing) close(segment);
    this.#waiting = this.#waiting.filter((segment) => segment.syncing);
  }
}

function close(segment: Segment): void {
  if (segment.fd < 0) return;
  fs.closeSync(segment.fd);
  segment.fd = -1;
}
