import { SEGMENT_HEAD } from "./format/record.ts";

/** Segments with this number or a higher one are transient: they do not survive a restart. */
export const FIRST_TRANSIENT: number = 2 ** 31;

/** The weight of a target in addition to the size of its body; see `Segment.weight`. */
const TARGET_WEIGHT = 64;

/** Returns the weight of one target of a message with a body of `size` bytes. */
export function weigh(size: number): number {
  return size + TARGET_WEIGHT;
}

/** The state of one segment of the log while the journal is open. */
export class Segment {
  readonly number: number;
  /** The content, while it is in memory; `bytes.length` is the capacity. */
  bytes: Uint8Array | undefined;
  view: DataView | undefined;
  /** The offset of the next record. */
  end: number = SEGMENT_HEAD;
  /** The number of bytes that were written to the file. */
  written = 0;
  /** The seed of the checksums. */
  salt = 0;
  /** No more records are added. */
  sealed = false;
  /** The segment is sealed and written completely. */
  finished = false;
  /** The file descriptor while the file is open for writing or is being synced; otherwise -1. */
  fd = -1;
  /** A sync of the file is running. */
  syncing = false;
  /** The number of targets that are not settled. */
  live = 0;
  /** The weight of the targets that are not settled: the sizes of their bodies plus a constant for each. */
  liveWeight = 0;
  /** The weight of all targets, for comparison with `liveWeight`. */
  weight = 0;
  /** The existing segments whose messages were copied to this one. This segment must not be deleted before them. */
  sources: Set<number> | undefined;
  /** Its messages were copied; it is needed until the log is synced up to this position. */
  neededUntil = 0;
  /** The number of entries of `HeldAcks` that name it. It must not be deleted before they are released. */
  held = 0;
  /** Compaction cannot read it. */
  unreadable = false;
  /** A record of it was damaged, and its file is kept under another name. */
  kept = false;

  /** Some of its acknowledgements are not written yet. */
  acking = false;
  /** The range of acknowledgements that is being collected; it is empty while `ackFrom > ackTo`. */
  ackQueue = 0;
  ackLane = 0;
  ackFrom = 0;
  ackTo = -1;
  /** The encoded ranges that are not written yet. */
  acks: Uint8Array | undefined;
  acksLength = 0;
  /** The length of the acknowledgement file. */
  ackFileLength = 0;

  constructor(number: number) {
    this.number = number;
  }

  get transient(): boolean {
    return this.number >= FIRST_TRANSIENT;
  }

  /** Sets or removes the buffer. */
  setBuffer(bytes: Uint8Array | undefined): void {
    this.bytes = bytes;
    this.view = bytes === undefined
      ? undefined
      : new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Counts a new message with a body of `size` bytes for a number of targets. */
  add(targets: number, size: number): void {
    const weight = targets * weigh(size);
    this.live += targets;
    this.liveWeight += weight;
    this.weight += weight;
  }

  /** Resets the segment for reuse after all of its messages are settled. */
  clear(): void {
    this.end = SEGMENT_HEAD;
    this.weight = this.liveWeight = 0;
  }
}
