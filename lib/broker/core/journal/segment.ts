import { SEGMENT_HEAD } from "./format/record.ts";

/** Segments from this number on have no log that outlives the process. */
export const FIRST_TRANSIENT: number = 2 ** 31;

/** What a target weighs besides its body: see `Segment.weight`. */
const TARGET_WEIGHT = 64;

/** The weight of one target of a message with a body of `size` bytes. */
export function weigh(size: number): number {
  return size + TARGET_WEIGHT;
}

/** A piece of the log: what is known about one while the journal is open. */
export class Segment {
  readonly number: number;
  /** Its content, while it is in memory; `bytes.length` is its capacity. */
  bytes: Uint8Array | undefined;
  view: DataView | undefined;
  /** Where the next record goes. */
  end: number = SEGMENT_HEAD;
  /** How much of it was handed to the system. */
  written = 0;
  /** What its sums start from. */
  salt = 0;
  /** No record will be added. */
  sealed = false;
  /** It is sealed, and the system has all of it. */
  finished = false;
  /** Its file is open for writing, or being synced. */
  fd = -1;
  /** A sync of its file is under way. */
  syncing = false;
  /** How many targets of its messages are not settled. */
  live = 0;
  /** What those weigh: the sizes of their bodies, and something for each. */
  liveWeight = 0;
  /** What all targets weighed, so that the two can be compared. */
  weight = 0;
  /** It has copies of messages of these segments, as far as they still exist. It must outlive them. */
  sources: Set<number> | undefined;
  /** Its messages were copied; it is needed until the log is on disk up to this position. */
  neededUntil = 0;
  /** Compaction found that it cannot read it. */
  unreadable = false;

  /** Its acknowledgements are to be written. */
  acking = false;
  /** The range of acknowledgements that is being collected; empty while `ackFrom > ackTo`. */
  ackQueue = 0;
  ackLane = 0;
  ackFrom = 0;
  ackTo = -1;
  /** The collected ranges that are not written yet, encoded. */
  acks: Uint8Array | undefined;
  acksLength = 0;
  /** How long its file of acknowledgements is. */
  ackFileLength = 0;

  constructor(number: number) {
    this.number = number;
  }

  get transient(): boolean {
    return this.number >= FIRST_TRANSIENT;
  }

  /** Gives it a buffer, or takes it away. */
  hold(bytes: Uint8Array | undefined): void {
    this.bytes = bytes;
    this.view = bytes === undefined
      ? undefined
      : new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** A message of this size is added, for so many targets. */
  add(targets: number, size: number): void {
    const weight = targets * weigh(size);
    this.live += targets;
    this.liveWeight += weight;
    this.weight += weight;
  }

  /** It is as new: all of its messages are settled. */
  clear(): void {
    this.end = SEGMENT_HEAD;
    this.weight = this.liveWeight = 0;
  }
}
