import fs from "node:fs";
import { messageOf } from "../../../errors.ts";
import { clearAcks, encodeAcks } from "./format/acks.ts";
import { DeliveredMarks } from "./format/delivered.ts";
import { HeldAcks } from "./held_acks.ts";
import { keepAside } from "./files/aside.ts";
import { checkLinked, createDirectory, Files, logName, syncFile, writeFailure } from "./files/files.ts";
import { Lock } from "./files/lock.ts";
import { Log } from "./log.ts";
import { keptAs, Manifest, writeManifest } from "./manifest.ts";
import type { JournalOptions, LaneLookup, SyncMode } from "./options.ts";
import type { RecordView } from "./format/record.ts";
import { recover } from "./recovery.ts";
import type { Segment } from "./segment.ts";
import { Syncer } from "./files/syncer.ts";
import { Windows } from "./files/windows.ts";

const MIB = 1024 * 1024;
/** The delay before a failed write is tried again, in milliseconds. */
const RETRY = 250;
/** The number of sealed segments waiting for the next interval that starts a sync at once. */
const WAITING = 16;

/** The data directory of a journal: writes, syncs and deletes its files, and handles failures of these. */
export class Disk {
  readonly segments: Map<number, Segment>;
  readonly log: Log;
  readonly marks: DeliveredMarks;
  readonly files: Files;
  readonly held: HeldAcks = new HeldAcks();
  full: Error | undefined;
  /** The weight of the live targets and of all targets in the sealed segments. */
  liveWeight = 0;
  weight = 0;
  readonly #path: string;
  readonly #options: JournalOptions;
  readonly #sync: SyncMode;
  readonly #lock: Lock;
  readonly #syncer: Syncer;
  readonly #windows: Windows;
  readonly #compacting: () => boolean;
  readonly #lookup: LaneLookup;
  /** The log up to this position was handed to the operating system, and its file was not deleted. */
  #handedOver = 0;
  /** Segments with acknowledgements that are not written yet. */
  readonly #acking: Segment[] = [];
  /** Sealed segments without live messages. */
  #dead: Segment[] = [];
  /** The log has copies before this position. Their originals are deleted when the copies are on disk. */
  #copiesUntil = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #interval: ReturnType<typeof setInterval> | undefined;

  /**
   * @param compacting returns whether compaction is running; its copies must be on disk before the originals are
   *   deleted
   * @throws {Error} see `Journal.open`
   */
  constructor(path: string, options: JournalOptions, lookup: LaneLookup, compacting: () => boolean) {
    this.#path = path;
    this.#options = options;
    this.#sync = options.sync ?? "confirm";
    this.#compacting = compacting;
    this.#lookup = lookup;
    createDirectory(path);
    this.#lock = Lock.take(path);
    try {
      const problem = (text: string) => options.onProblem?.(text);
      const manifest = Manifest.read(path, problem);
      lookup.opened?.({
        used: manifest !== undefined ||
          fs.readdirSync(path).some((name) => /\.log(\.damaged-\d+)?$/.test(name)),
        definitionsChanged: manifest === undefined
          ? false
          : manifest.isCut("definitions")
          ? "cut"
          : manifest.differs("definitions"),
      });
      this.files = new Files(path);
      this.#windows = new Windows(this.files);
      this.marks = new DeliveredMarks(this.files.path("delivered"));
      const { files, marks } = this;
      const segmentSize = options.segmentSize ?? 16 * MIB;
      const resumable = segmentSize / 2;
      const { segments, nextNumber, skipped, last } = recover(
        { path, files, marks, lookup, manifest, resumable, problem },
      );
      // Until the lost definitions are written again, a start must find them lost.
      lookup.restored?.();
      manifest?.remove();
      // Entries that an earlier process made without a sync, and the removal of the manifest.
      if (this.#sync !== "flush") syncFile(path);
      this.segments = segments;
      this.log = new Log(files, segmentSize, options.cacheSize ?? 32 * MIB, nextNumber, skipped);
      if (last !== undefined && last.segment.live > 0 && last.segment.end <= resumable) {
        this.log.resume(last.segment, last.content);
      }
    } catch (error) {
      this.#lock.release();
      throw error;
    }
    this.#syncer = new Syncer(this.log, path, () => this.#synced());
    for (const segment of this.segments.values()) {
      // Recovery has found acknowledgements that were not written.
      if (segment.ackTo >= 0 || segment.acksLength > 0) this.addAcking(segment);
      if (segment.sealed) this.sealed(segment);
    }
    if (this.#sync === "interval") {
      this.#interval = setInterval(() => this.#syncer.start(), options.syncInterval ?? 1000);
    }
  }

  get syncedPosition(): number {
    return this.#sync === "confirm" ? this.#syncer.durable : this.#handedOver;
  }

  /**
   * Reads the record at `offset` of a segment that is not in memory. The queue and the sequence number are for the
   * report.
   *
   * @returns false when it is damaged
   */
  read(segment: Segment, offset: number, record: RecordView, queueId: number, seq: number): boolean {
    let why = "";
    try {
      if (this.#windows.read(segment, offset, record)) return true;
    } catch (error) {
      why = `: ${(error as Error).message}`;
    }
    const name = logName(segment.number);
    let kept = "";
    if (!segment.kept && !segment.transient) {
      try {
        kept = `; ${keptAs(keepAside(this.files.path(name)))}`;
        segment.kept = true;
      } catch {
        // The file does not exist, or the disk is full.
      }
    }
    const message = queueId < 0
      ? "A message"
      : `Message ${seq} of queue ${this.#lookup.nameOf?.(queueId) ?? queueId}`;
    this.#options.onProblem?.(
      `${message} is damaged and cannot be delivered (at ${offset} of ${name})${why}${kept}`,
    );
    return false;
  }

  /** Notes that a segment has acknowledgements to write. */
  readonly addAcking = (segment: Segment): void => {
    if (segment.acking) return;
    segment.acking = true;
    this.#acking.push(segment);
  };

  /** Handles a segment that was sealed. */
  sealed(segment: Segment): void {
    this.liveWeight += segment.liveWeight;
    this.weight += segment.weight;
    if (segment.live === 0) this.addDead(segment);
  }

  /** Handles a segment whose messages were copied to the end of the log: it is needed until the copies are on disk. */
  copied(source: Segment): void {
    source.neededUntil = this.#copiesUntil = this.log.position;
    if (source.live === 0) this.addDead(source);
  }

  /** Handles a sealed segment without live messages. */
  addDead(segment: Segment): void {
    if (!this.#dead.includes(segment)) this.#dead.push(segment);
  }

  flush(): void {
    this.#flush(this.full === undefined);
  }

  /** @throws {Error} the data is not on disk */
  syncNow(): void {
    this.#flush(true);
    if (this.full !== undefined) throw this.full;
    if (this.#sync !== "flush") this.#syncer.now();
    const failure = this.#writeHeld();
    if (failure !== undefined) throw failure;
  }

  /** @throws {Error} some data could not be written */
  close(): void {
    clearTimeout(this.#retry);
    clearInterval(this.#interval);
    let failure: unknown;
    try {
      failure = this.#write(true);
      try {
        this.#syncer.now();
        const held = this.#writeHeld();
        failure ??= held;
      } catch (error) {
        failure ??= error;
      }
      this.#syncer.close();
      this.#deleteDead(true);
      this.files.close();
      this.marks.close();
      if (failure === undefined) {
        const salts = [...this.segments.values()].map(({ number, salt }) => [number, salt] as const);
        writeManifest(this.#path, salts, this.#lookup, this.#sync !== "flush");
      }
    } finally {
      this.#lock.release();
    }
    if (failure !== undefined) throw this.#describe(failure);
  }

  /** Deletes the file of a transient segment that is no longer needed. */
  forget(segment: Segment): void {
    this.#windows.forget(segment);
    this.files.unlink(segment.number);
  }

  #flush(tryLog: boolean): void {
    const failure = this.#write(tryLog);
    if (this.#needsSync()) this.#syncer.start();
    this.#deleteDead(false);
    this.#setFull(this.#syncer.failure ?? failure);
  }

  /**
   * Writes all new data: the log first, then the acknowledgements and marks that refer to it.
   *
   * @returns the first error
   */
  #write(tryLog: boolean): unknown {
    let failure: unknown = this.full;
    if (tryLog) {
      failure = undefined;
      try {
        const { written } = this.log;
        this.log.write(this.#finished);
        if (this.log.written > written) this.#checkLinked();
        this.#handedOver = this.log.written;
      } catch (error) {
        failure = error;
      }
    }
    try {
      this.marks.write();
    } catch (error) {
      failure ??= error;
    }
    const held = this.#writeHeld();
    return failure ?? held;
  }

  /** Writes the acknowledgements, also those of replaced messages whose replacements are safe. @returns the error */
  #writeHeld(): unknown {
    // An interval must not lose more than the messages of this time, so it holds them as long as `confirm`.
    const safe = this.#sync === "flush" ? this.#handedOver : this.#syncer.durable;
    this.held.release(safe, this.addAcking);
    try {
      this.#writeAcks();
      return undefined;
    } catch (error) {
      return error;
    }
  }

  /** Notices that the data directory was deleted, before any message in it is confirmed. */
  #checkLinked(): void {
    const head = this.log.head;
    if (head === undefined || head.fd < 0) return;
    try {
      checkLinked(head.fd, logName(head.number));
    } catch (error) {
      this.#syncer.fail(error as Error);
      throw error;
    }
  }

  /** Handles a sealed segment that is written completely. */
  readonly #finished = (segment: Segment): void => {
    const copies = this.#compacting() || this.#copiesUntil > this.#syncer.durable;
    if (this.#sync === "flush" && !copies && !segment.syncing) {
      fs.closeSync(segment.fd);
      segment.fd = -1;
    } else this.#syncer.add(segment);
  };

  #writeAcks(): void {
    const acking = this.#acking;
    let waiting = 0;
    for (let i = 0; i < acking.length; i++) {
      const segment = acking[i]!;
      if (this.segments.get(segment.number) === segment) {
        // Without a log file the acknowledgements would be ignored at the next start, and they may refer to copies.
        if (segment.written === 0) {
          acking[waiting++] = segment;
          continue;
        }
        try {
          const bytes = encodeAcks(segment);
          this.files.appendAcks(segment.number, bytes, segment.acksLength, segment.ackFileLength);
        } catch (error) {
          acking.splice(waiting, i - waiting);
          throw error;
        }
        clearAcks(segment);
      }
      segment.acking = false;
    }
    acking.length = waiting;
  }

  #needsSync(): boolean {
    if (this.#sync === "confirm") return this.log.written > this.#syncer.durable;
    if (this.#syncer.waiting >= WAITING) return true;
    // A sync of some of the copies has no effect: a dead segment waits for all of them.
    return this.#copiesUntil > this.#syncer.durable && this.#dead.length > 0;
  }

  #synced(): void {
    const failure = this.#syncer.failure ?? this.#writeHeld();
    this.#deleteDead(false);
    if (failure !== undefined) this.#setFull(failure);
    if (this.#sync === "confirm" && this.#syncer.failure === undefined) this.#options.onSynced?.();
    if (this.#needsSync()) this.#syncer.start();
  }

  /** Deletes the segments that are no longer needed. `recovery.ts` states the conditions. */
  #deleteDead(now: boolean): void {
    if (this.#dead.length === 0) return;
    const kept: Segment[] = [];
    for (const segment of this.#dead) {
      const needed = !segment.finished || segment.held > 0 || (segment.sources?.size ?? 0) > 0 ||
        segment.neededUntil > this.#syncer.durable || !this.#syncer.release(segment);
      if (needed) kept.push(segment);
      else this.#delete(segment, now);
    }
    this.#dead = kept;
  }

  #delete(segment: Segment, now: boolean): void {
    const { number } = segment;
    this.weight -= segment.weight;
    this.log.release(segment);
    this.#windows.forget(segment);
    const deleted = now ? this.files.unlinkNow(number) : this.files.unlink(number);
    // A log that stays needs its acknowledgements, also those that are not written yet, and the copies of its messages.
    if (!deleted) return;
    this.segments.delete(number);
    for (const { sources } of this.segments.values()) sources?.delete(number);
  }

  #setFull(failure: unknown): void {
    if (failure !== undefined && this.#retry === undefined && this.#syncer.failure === undefined) {
      this.#retry = setTimeout(() => this.#tryAgain(), RETRY);
    }
    if ((failure === undefined) === (this.full === undefined)) return;
    this.full = failure === undefined ? undefined : this.#describe(failure);
    this.#options.onFullChange?.();
  }

  #tryAgain(): void {
    this.#retry = undefined;
    const before = this.syncedPosition;
    this.held.releaseSettled(this.addAcking);
    this.#flush(true);
    if (this.syncedPosition > before) this.#options.onSynced?.();
  }

  #describe(failure: unknown): Error {
    if (this.#syncer.failure === undefined) return writeFailure(this.#path, failure);
    return new Error(
      `Cannot write to the data directory "${this.#path}": ` +
        (this.#syncer.unlinked ? `${messageOf(failure)}; ` : `the disk failed (${messageOf(failure)}); `) +
        "restart the broker to continue with the data on disk",
      { cause: failure },
    );
  }
}
