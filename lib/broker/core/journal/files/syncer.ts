import fs from "node:fs";
import { checkLinked, logName, syncFile } from "./files.ts";
import type { Log } from "../log.ts";
import type { Segment } from "../segment.ts";

/**
 * Syncs the log to the disk, with one `fdatasync` at a time, on another thread. Data that is written meanwhile is
 * synced by the next call, so batches form by themselves.
 */
export class Syncer {
  /** The log is on disk up to this position. */
  durable: number;
  /** The error of a failed sync. The operating system may have dropped the data, and a second try would hide this. */
  failure: Error | undefined;
  /** The failure is that the file was deleted. */
  unlinked = false;
  readonly #log: Log;
  readonly #directory: string;
  readonly #done: () => void;
  /** Sealed segments whose files stay open until they are synced. */
  #waiting: Segment[] = [];
  /** The segments that are being synced, and the number of running syncs. */
  #flying: readonly Segment[] = [];
  #running = 0;
  #closed = false;

  /** @param done called when a sync has ended */
  constructor(log: Log, directory: string, done: () => void) {
    this.#log = log;
    this.#directory = directory;
    this.#done = done;
    this.durable = log.written;
  }

  /** The number of sealed segments that wait for a sync. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Adds a sealed segment, whose file is closed after the sync. */
  add(segment: Segment): void {
    this.#waiting.push(segment);
  }

  /** Closes the file of a segment that is to be deleted. @returns false while a sync of it is running */
  release(segment: Segment): boolean {
    if (segment.syncing) return false;
    if (segment.fd < 0) return true;
    const at = this.#waiting.indexOf(segment);
    if (at >= 0) this.#waiting.splice(at, 1);
    close(segment);
    return true;
  }

  /** Starts a sync of all written data, unless one is running. */
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
      this.#checkLinked();
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
   * Syncs all written data synchronously.
   *
   * @throws {Error} a file system error
   */
  now(): void {
    if (this.failure !== undefined) throw this.failure;
    const { head } = this.#log;
    try {
      // The running sync of these may not have completed.
      for (const segment of this.#flying) fs.fdatasyncSync(segment.fd);
      for (const segment of this.#waiting) fs.fdatasyncSync(segment.fd);
      if (head !== undefined && head.fd >= 0) fs.fdatasyncSync(head.fd);
      syncFile(this.#directory);
    } catch (error) {
      throw this.failure = error as Error;
    }
    this.#checkLinked();
    if (this.failure !== undefined) throw this.failure;
    this.#log.directoryChanged = false;
    this.durable = this.#log.written;
    this.#closeWaiting();
  }

  /** Stops for good: the file that is written was deleted. */
  fail(error: Error): void {
    this.failure ??= error;
    this.unlinked = true;
  }

  /** Fails when the file was deleted while it was synced. */
  #checkLinked(): void {
    const { head } = this.#log;
    if (this.failure !== undefined || head === undefined || head.fd < 0) return;
    try {
      checkLinked(head.fd, logName(head.number));
    } catch (error) {
      this.fail(error as Error);
    }
  }

  /** Closes the open files as soon as no sync needs them. */
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
