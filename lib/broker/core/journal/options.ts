import type { Lane } from "../queue/lane.ts";

/**
 * When a message counts as safe: `confirm` once it is on disk, `flush` once the system has it (which outlives the
 * process, and not a power failure), `interval` the same with a sync every now and then.
 */
export type SyncMode = "confirm" | "flush" | "interval";

export interface JournalOptions {
  /** The data directory, which is made when it is missing. Without one everything is in memory. */
  readonly directory?: string | undefined;
  /** `confirm` unless given. */
  readonly sync?: SyncMode | undefined;
  /** Between two syncs of the mode `interval`, in milliseconds; 1000. */
  readonly syncInterval?: number | undefined;
  /** The size of a segment, in bytes; 16 MiB. A larger message has one of its own. */
  readonly segmentSize?: number | undefined;
  /** How much of the log stays in memory behind the segment that is being written, in bytes; 32 MiB. */
  readonly cacheSize?: number | undefined;
  /**
   * What messages that need not outlive the process may take of memory, in bytes; 128 MiB. Beyond it they are put into
   * files. Without a directory it is the limit of all messages; see `Journal.memoryFull`.
   */
  readonly memorySize?: number | undefined;
  /** How many bytes of settled messages may lie in segments that others still need; 64 MiB. */
  readonly garbageSize?: number | undefined;
  /** `syncedPosition` has gone up, outside of a call of the journal. */
  readonly onSynced?: (() => void) | undefined;
  /** `full` has changed. */
  readonly onFullChange?: (() => void) | undefined;
  /** Something is wrong with what is on disk; in words, and the journal goes on. */
  readonly onProblem?: ((text: string) => void) | undefined;
}

/** Who has the queues. */
export interface Directory {
  /** A queue's lane, or undefined when there is no such queue (any more): its messages are dropped. */
  lane(queueId: number, lane: number): Lane | undefined;
  /** The data directory is this process's now, and lanes will be asked for. */
  opened?(): void;
}
