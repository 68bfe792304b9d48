import type { Lane } from "../queue/lane.ts";
import { RecordView, type RecordView as Record, SEGMENT_HEAD, SOURCE, Targets } from "./format/record.ts";
import type { Segment } from "./segment.ts";

/** How long the others have the thread between two turns of it, in milliseconds. */
const PAUSE = 2;

/** What compaction needs of the journal. */
export interface CompactionHost {
  lane(queueId: number, lane: number): Lane | undefined;
  /** Sets `record` to what is at `offset`. @returns false when that cannot be read */
  load(segment: Segment, offset: number, record: Record): boolean;
  /** Appends a copy for some of its targets, and tells their lanes. */
  copy(source: Segment, record: Record, targets: Targets): void;
  /** All that lives in it is copied, if `whole`; or some more. It must outlive the copies' way to the disk. */
  copied(source: Segment, whole: boolean): void;
}

/**
 * Copies what still lives in a segment to the end of the log, a piece per turn, so that the segment can be deleted and
 * one message that nobody takes does not keep megabytes. `recovery.ts` says why that is safe at any moment.
 */
export class Compaction {
  readonly #host: CompactionHost;
  readonly #step: number;
  readonly #record = new RecordView();
  readonly #targets = new Targets();
  #source: Segment | undefined;
  #offset = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param step how much is looked at in one turn, in bytes */
  constructor(host: CompactionHost, step: number) {
    this.#host = host;
    this.#step = step;
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
    this.#timer = setTimeout(() => this.#turn(), PAUSE);
  }

  #turn(): void {
    const source = this.#source!;
    const record = this.#record;
    const limit = this.#offset + this.#step;
    // Nothing is left to copy when the others settled it meanwhile.
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
