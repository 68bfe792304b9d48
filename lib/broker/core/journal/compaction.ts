import type { Lane } from "../queue/lane.ts";
import { RecordView, type RecordView as Record, SEGMENT_HEAD, SOURCE, Targets } from "./format/record.ts";
import type { Segment } from "./segment.ts";

/** The pause between two steps, in milliseconds, in which other work can run. */
const PAUSE = 2;

/** The part of the journal that compaction needs. */
export interface CompactionHost {
  lane(queueId: number, lane: number): Lane | undefined;
  /** Sets `record` to the record at `offset`. @returns false when it cannot be read */
  load(segment: Segment, offset: number, record: Record): boolean;
  /** Appends a copy for the given targets and updates their lanes. */
  copy(source: Segment, record: Record, targets: Targets): void;
  /**
   * Called after each step; `whole` when all live messages are copied. The source is needed until the copies are
   * synced.
   */
  copied(source: Segment, whole: boolean): void;
}

/**
 * Copies the live messages of a segment to the end of the log, one piece per step, so that the segment can be deleted.
 * Without it, one message that is never consumed would keep a whole segment on disk. `recovery.ts` explains why a crash
 * at any moment is safe.
 */
export class Compaction {
  readonly #host: CompactionHost;
  readonly #stepSize: number;
  readonly #record = new RecordView();
  readonly #targets = new Targets();
  #source: Segment | undefined;
  #offset = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param step the number of bytes to process in one step */
  constructor(host: CompactionHost, step: number) {
    this.#host = host;
    this.#stepSize = step;
  }

  get active(): boolean {
    return this.#source !== undefined;
  }

  begin(source: Segment): void {
    this.#source = source;
    this.#offset = SEGMENT_HEAD;
    this.#schedule();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#source = undefined;
  }

  #schedule(): void {
    this.#timer = setTimeout(() => this.#runStep(), PAUSE);
  }

  #runStep(): void {
    const source = this.#source!;
    const record = this.#record;
    const limit = this.#offset + this.#stepSize;
    // Other work may have settled the remaining messages meanwhile.
    while (this.#offset < source.end && source.live > 0) {
      if (this.#offset >= limit) {
        this.#schedule();
        return this.#host.copied(source, false);
      }
      if (!this.#host.load(source, this.#offset, record)) {
        source.unreadable = true;
        this.#source = undefined;
        return this.#host.copied(source, false);
      }
      if (record.type !== SOURCE) this.#copy(source, record);
      this.#offset += record.end - record.start;
    }
    this.#source = undefined;
    this.#host.copied(source, true);
  }

  #copy(source: Segment, record: Record): void {
    const targets = this.#targets;
    targets.clear();
    for (let i = 0; i < record.targets; i++) {
      const queueId = record.queueId(i);
      const lane = record.lane(i);
      const seq = record.seq(i);
      if (this.#host.lane(queueId, lane)?.isAt(seq, source.number, this.#offset)) {
        targets.add(queueId, lane, seq, record.expiry(i));
      }
    }
    if (targets.count > 0) this.#host.copy(source, record, targets);
  }
}
