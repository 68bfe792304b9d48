import fs from "node:fs";
import { Buffers } from "./files/buffers.ts";
import { appendAll, type Files, logName, OWNER_ONLY, remove } from "./files/files.ts";
import { SEGMENT_HEAD } from "./format/record.ts";
import { FIRST_TRANSIENT, Segment } from "./segment.ts";

/** The segments of messages that need not outlive the process. Their records have no sums. */
export class MemoryLog {
  /** What the segments take of memory, in bytes. */
  size = 0;
  head: Segment | undefined;
  readonly #buffers: Buffers;
  /** Sealed segments in memory, the oldest one first. */
  readonly #sealed = new Set<Segment>();
  #nextNumber = FIRST_TRANSIENT;

  constructor(segmentSize: number) {
    this.#buffers = new Buffers(segmentSize);
  }

  isFull(size: number): boolean {
    const { head } = this;
    return head === undefined || head.end + size > head.bytes!.length;
  }

  /** Another head, with room for `size` bytes. */
  roll(size: number): Segment {
    if (this.head !== undefined) {
      this.head.sealed = true;
      this.#sealed.add(this.head);
    }
    const head = this.head = new Segment(this.#nextNumber++);
    head.hold(this.#buffers.take(SEGMENT_HEAD + size));
    this.size += head.bytes!.length;
    return head;
  }

  /** The segment is not needed any more: its memory is for others. */
  release(segment: Segment): void {
    const { bytes } = segment;
    if (bytes === undefined) return;
    this.#sealed.delete(segment);
    segment.hold(undefined);
    this.size -= bytes.length;
    this.#buffers.give(bytes);
  }

  /**
   * Puts the oldest segments into files, until the rest takes no more than `limit` bytes of memory.
   *
   * @throws {Error} of the file system
   */
  spill(files: Files, limit: number): void {
    for (const segment of this.#sealed) {
      if (this.size <= limit) return;
      const file = files.path(logName(segment.number));
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
