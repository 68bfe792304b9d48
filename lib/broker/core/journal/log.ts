import { Buffers } from "./files/buffers.ts";
import { appendAll, type Files, indexName, remove } from "./files/files.ts";
import { newSalt } from "./format/record_list.ts";
import { SEGMENT_HEAD, writeSegmentHead } from "./format/record.ts";
import { Segment } from "./segment.ts";
import { writeIndex } from "./format/segment_index.ts";
import { indexLog } from "./format/scan.ts";

/**
 * The segments that outlive the process. The one at the end, the head, is written in memory, and `write` hands over
 * what is new in it. A segment that is full is sealed: it gets its index, and its content stays in memory until others
 * need the room.
 */
export class Log {
  /** How many bytes were ever appended, and of those, how many the system has. */
  position = 0;
  written = 0;
  /** A log was created, and its name may not be on disk yet. */
  directoryChanged = false;
  head: Segment | undefined;
  readonly #files: Files;
  readonly #buffers: Buffers;
  readonly #cacheSize: number;
  #nextNumber: number;
  /** What was not handed over whole, the head last. */
  readonly #unwritten: Segment[] = [];
  /** Sealed segments that are in memory, the oldest one first. */
  #cached: Segment[] = [];
  #cachedBytes = 0;

  constructor(files: Files, segmentSize: number, cacheSize: number, nextNumber: number) {
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

  /** Another head, with room for `size` bytes. The one before is sealed, and is handed over by the next `write`. */
  roll(size: number): Segment {
    if (this.head !== undefined) this.head.sealed = true;
    const head = this.head = new Segment(this.#nextNumber++);
    head.hold(this.#buffers.take(SEGMENT_HEAD + size));
    head.salt = newSalt();
    writeSegmentHead(head.bytes!, head.view!, head.salt);
    this.position += SEGMENT_HEAD;
    this.#unwritten.push(head);
    return head;
  }

  /** Goes on with a segment that another process began, and that is on disk up to `end`. */
  resume(segment: Segment): void {
    const bytes = this.#buffers.take(segment.end);
    this.#files.read(segment.number, bytes, 0, segment.end);
    remove(this.#files.path(indexName(segment.number)));
    segment.fd = this.#files.openLog(segment.number);
    segment.hold(bytes);
    segment.sealed = segment.finished = false;
    segment.written = segment.end;
    this.head = segment;
    this.#unwritten.push(segment);
  }

  /** No more comes: the head is sealed. */
  end(): void {
    if (this.head === undefined) return;
    this.head.sealed = true;
    this.head = undefined;
  }

  /**
   * Hands over what is new.
   *
   * @param finished a sealed segment is handed over whole; its file is still open
   * @throws {Error} of the file system; the log ends with a whole record then, and the rest is kept
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

  /** The segment is deleted: its memory is for others. */
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
    segment.hold(undefined);
    this.#buffers.give(bytes);
  }
}
