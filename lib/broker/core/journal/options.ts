import type { Lane } from "../queue/lane.ts";

/**
 * Defines when a message is safe. `confirm`: when it is on disk. `flush`: when the operating system has it; it then
 * survives a crash of the process, but not a power failure. `interval`: like `flush`, with a sync at regular intervals.
 */
export type SyncMode = "confirm" | "flush" | "interval";

/** Options of `Journal.open`. */
export interface JournalOptions {
  /** The data directory, which is created if it is missing. Without one, all messages are in memory. */
  readonly directory?: string | undefined;
  /** Default: `confirm`. */
  readonly sync?: SyncMode | undefined;
  /** The interval between two syncs in the mode `interval`, in milliseconds. Default: 1000. */
  readonly syncInterval?: number | undefined;
  /** The size of a segment, in bytes. Default: 16 MiB. A larger message gets its own segment. */
  readonly segmentSize?: number | undefined;
  /** The memory for sealed segments that are already written, in bytes. Default: 32 MiB. */
  readonly cacheSize?: number | undefined;
  /**
   * The memory for transient messages, in bytes. Default: 128 MiB. Beyond this limit they are moved to files. Without a
   * directory it is the limit for all messages; see `Journal.memoryFull`.
   */
  readonly memorySize?: number | undefined;
  /**
   * The amount of settled messages in segments that are still needed before compaction starts, in bytes. Default: 64
   * MiB.
   */
  readonly garbageSize?: number | undefined;
  /** Called when `syncedPosition` has increased outside a call of the journal. */
  readonly onSynced?: (() => void) | undefined;
  /** Called when `full` has changed. */
  readonly onFullChange?: (() => void) | undefined;
  /** Called with a description of damaged data on disk. The journal continues. */
  readonly onProblem?: ((text: string) => void) | undefined;
}

/** What is known about a data directory before its definitions are read. */
export interface DirectoryState {
  /** The directory holds data, so a file `definitions` must exist. */
  readonly used: boolean;
  /** The file `definitions` is not as the last clean stop left it; `cut` when it is missing or shorter. */
  readonly definitionsChanged: boolean | "cut";
}

/** Gives the journal access to the lanes of the queues. */
export interface LaneLookup {
  /** Returns a queue's lane, or undefined when the queue does not exist; its messages are then dropped. */
  lane(queueId: number, lane: number): Lane | undefined;
  /**
   * Called when the data directory is locked for this process, before the first call of `lane`.
   *
   * @param state what is known about the directory and its file `definitions`
   */
  opened?(state: DirectoryState): void;
  /** Called when the lanes are filled, before the journal forgets what the last clean stop left. */
  restored?(): void;
  /** Returns a queue's name in quotes, for reports. */
  nameOf?(queueId: number): string | undefined;
  /** Returns all lanes of the queues that survive a restart. */
  lanes?(): Iterable<readonly [queueId: number, lane: Lane]>;
}
