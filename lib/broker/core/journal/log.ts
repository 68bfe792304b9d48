import { Buffers } from "./files/buffers.ts";
import { appendAll, type Files, indexName, remove } from "./files/files.ts";
import { newSalt } from "./format/record_list.ts";
import { NEW_SEGMENT, writeSegmentHead } from "./format/record.ts";
import { Segment } from "./segment.ts";
import { writeIndex } from "./format/segment_index.ts";
import { indexLog } from "./format/scan.ts";

/**
 * The segments that survive a restart. Records are added in memory to the last segment, the head; `write` appends the
 * new part to the file. A full segment is sealed: it gets an index, and its content stays in memory until the cache
 * needs the space.
 */
export class Log {
  /** The number of bytes appended so far, and the number of these that were written to files. */
  position = 0;
  written = 0;
  /** A file was created, and its directory entry may not be on disk yet. */
  directoryChanged = false;
  head: Segment | undefined;
  readonly #files: Files;
  readonly #buffers: Buffers;
  readonly #cacheSize: number;
  #nextNumber: number;
  /** Numbers that are not used, because something else has the name. */
  readonly #skipped: ReadonlySet<number>;
  /** Segments that are not written completely; the head is the last one. */
  readonly #unwritten: Segment[] = [];
  /** Sealed segments in memory, oldest first. */
  #cached: Segment[] = [];
  #cachedBytes = 0;

  constructor(
    files: Files,
    segmentSize: number,
    cacheSize: number,
    nextNumber: number,
    skipped: ReadonlySet<number>,
  ) {
    this.#skipped = skipped;
    this.#files = files;
    this.#buffers = new Buffers(segmentSize);
    this.#cacheSize = cacheSize;
    this.#nextNumber = nextNumber;
  }

  /** Whether a record of `size` bytes needs another segment. */
  isFull(size: number): boolean {
    const head = this.head;
    return head === undefined || head.end + size > head.bytes!.length;
  }

  /**
   * Starts a new head with space for `size` bytes. The previous head is sealed, and the next `write` writes its rest.
   */
  roll(size: number): Segment {
    if (this.head !== undefined) this.head.sealed = true;
    while (this.#skipped.has(this.#nextNumber)) this.#nextNumber++;
    const head = this.head = new Segment(this.#nextNumber++);
    head.setBuffer(this.#buffers.take(NEW_SEGMENT + size));
    head.salt = newSalt();
    head.end = writeSegmentHead(head.bytes!, head.view!, head.salt, head.number);
    this.position += NEW_SEGMENT;
    this.#unwritten.push(head);
    return head;
  }

  /**
   * Continues a segment that another process began and that is on disk up to `end`.
   *
   * @param content the content of the file, whose records were checked
   */
  resume(segment: Segment, content: Uint8Array): void {
    const bytes = this.#buffers.take(segment.end);
    bytes.set(content.subarray(0, segment.end));
    // The earlier process may not have synced the directory.
    this.directoryChanged = true;
    remove(this.#files.path(indexName(segment.number)));
    segment.fd = this.#files.openLog(segment.number);
    segment.setBuffer(bytes);
    segment.sealed = segment.finished = false;
    segment.written = segment.end;
    this.head = segment;
    this.#unwritten.push(segment);
  }

  /** Seals the head: nothing more is appended. */
  end(): void {
    if (this.head === undefined) return;
    this.head.sealed = true;
    this.head = undefined;
  }

  /**
   * Writes all new data to the files.
   *
   * @param finished called when a sealed segment is written completely; its file is still open
   * @throws {Error} a file system error; the file then ends with a complete record, and the rest is kept in memory
   */
  write(finished: (segment: Segment) => void): void {
    while (this.#unwritten.length > 0) {
      const segment = this.#unwritten[0]!;
      const { written, end } = segment;
      if (written < end) {
        if (segment.fd < 0) {
          segment.fd = this.#files.createLog(segment.number);
          this.directoryChanged = true;
        }
        appendAll(segment.fd, segment.bytes!, written, end, written);
        segment.written = end;
        this.written += end - written;
      }
      if (!segment.sealed) return;
      this.#unwritten.shift();
      segment.finished = true;
      const { number, salt } = segment;
      if (segment.live > 0) writeIndex(this.#files, number, indexLog(segment), end, salt);
      this.#cache(segment);
      finished(segment);
    }
  }

  /** Releases the memory of a deleted segment. */
  release(segment: Segment): void {
    const at = this.#cached.indexOf(segment);
    if (at < 0) return;
    this.#cached.splice(at, 1);
    this.#forget(segment);
  }

  #cache(segment: Segment): void {
    this.#cached.push(segment);
    this.#cachedBytes += segment.bytes!.length;
    while (this.#cachedBytes > this.#cacheSize && this.#cached.length > 0) {
      this.#forget(this.#cached.shift()!);
    }
  }

  #forget(segment: Segment): void {
    const bytes = segment.bytes!;
    this.#cachedBytes -= bytes.length;
    segment.setBuffer(undefined);
    this.#buffers.give(bytes);
  }
}
