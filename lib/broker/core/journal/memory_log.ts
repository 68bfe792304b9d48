import fs from "node:fs";
import { Buffers } from "./files/buffers.ts";
import { appendAll, type Files, logName, OWNER_ONLY, remove } from "./files/files.ts";
import { clearWay } from "./files/aside.ts";
import { newSalt } from "./format/record_list.ts";
import { RecordView, SEGMENT_HEAD, writeSum } from "./format/record.ts";
import { FIRST_TRANSIENT, Segment } from "./segment.ts";

/** The segments of messages that do not survive a restart. Their records have checksums only in files. */
export class MemoryLog {
  /** The memory used by the segments, in bytes. */
  size = 0;
  head: Segment | undefined;
  readonly #buffers: Buffers;
  /** Sealed segments in memory, oldest first. */
  readonly #sealed = new Set<Segment>();
  #nextNumber = FIRST_TRANSIENT;

  constructor(segmentSize: number) {
    this.#buffers = new Buffers(segmentSize);
  }

  isFull(size: number): boolean {
    const { head } = this;
    return head === undefined || head.end + size > head.bytes!.length;
  }

  /** Starts a new head with space for `size` bytes. */
  roll(size: number): Segment {
    if (this.head !== undefined) {
      this.head.sealed = true;
      this.#sealed.add(this.head);
    }
    const head = this.head = new Segment(this.#nextNumber++);
    head.setBuffer(this.#buffers.take(SEGMENT_HEAD + size));
    this.size += head.bytes!.length;
    return head;
  }

  /**
   * Empties the head, whose messages are all settled, unless one large message has made it larger than usual: its memory
   * would count until the next message is appended, and a full memory lets no message in.
   *
   * @returns false if the head must be released instead
   */
  clear(head: Segment): boolean {
    const isUsual = head.bytes!.length <= this.#buffers.size;
    if (isUsual) head.clear();
    return isUsual;
  }

  /** Releases the memory of a segment that is no longer needed. */
  release(segment: Segment): void {
    const { bytes } = segment;
    if (bytes === undefined) return;
    this.#sealed.delete(segment);
    if (segment === this.head) this.head = undefined;
    segment.setBuffer(undefined);
    this.size -= bytes.length;
    this.#buffers.give(bytes);
  }

  /**
   * Moves the oldest segments to files until the rest takes at most `limit` bytes of memory.
   *
   * @throws {Error} a file system error
   */
  spill(files: Files, limit: number): void {
    for (const segment of this.#sealed) {
      if (this.size <= limit) return;
      const file = files.path(logName(segment.number));
      clearWay(file);
      sealRecords(segment);
      const fd = fs.openSync(file, "w", OWNER_ONLY);
      try {
        appendAll(fd, segment.bytes!, 0, segment.end, 0);
      } catch (error) {
        remove(file);
        throw error;
      } finally {
        fs.closeSync(fd);
      }
      this.release(segment);
    }
  }
}

/** Writes the checksums of a segment that is about to leave the memory. */
function sealRecords(segment: Segment): void {
  const { bytes, view, end } = segment;
  const record = new RecordView();
  segment.salt = newSalt();
  for (let at = SEGMENT_HEAD; record.set(bytes!, view!, at, end); at = record.end) {
    writeSum(view!, at, record.end, segment.salt);
  }
}
