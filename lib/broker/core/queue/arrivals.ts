/** The shortest distance of two marks, in milliseconds. */
const STEP_MS = 1000;
/** The maximum number of marks: 32 KiB. */
const MAX_MARKS = 2048;

/** When a message arrived. */
export interface Arrival {
  /** In milliseconds since 1970. */
  readonly time: number;
  /** Whether it arrived at this time, to within a second or a thousandth of the time that the marks span; else before it. */
  readonly isExact: boolean;
}

/**
 * The times at which the messages of a lane arrived, without a number for each message: a mark has a sequence number and its
 * time, and marks are at least a second apart. The times are not in the journal: those of messages from an earlier process
 * are unknown.
 */
export class Arrivals {
  /** The start: no later message arrived before. */
  readonly #since: number;
  /** The distance of two marks, in milliseconds. */
  #step = STEP_MS;
  /** The time of the next mark. */
  #due = 0;
  #seqs: number[] = [];
  #times: number[] = [];

  constructor(now: number) {
    this.#since = now;
  }

  /**
   * Notes that a message arrives.
   *
   * @param first returns the first sequence number that matters: called when there are many marks
   */
  note(seq: number, now: number, first: () => number): void {
    if (now < this.#due) return;
    if (this.#times.length === MAX_MARKS) this.#shrink(Math.max(0, this.#indexOf(first())));
    this.#seqs.push(seq);
    this.#times.push(now);
    this.#due = now + this.#step;
  }

  /** When a message arrived. */
  of(seq: number): Arrival {
    const at = this.#indexOf(seq);
    if (at >= 0) return { time: this.#times[at]!, isExact: true };
    return { time: this.#times[0] ?? this.#since, isExact: false };
  }

  /** The index of the last mark that is not after a sequence number; -1 if there is none. */
  #indexOf(seq: number): number {
    let low = 0;
    let high = this.#seqs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#seqs[middle]! <= seq) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** Removes the marks before an index, and then every second one if there are still many. */
  #shrink(from: number): void {
    const isThinned = from < MAX_MARKS / 2;
    this.#step = isThinned ? 2 * this.#step : STEP_MS;
    const kept = (_: number, i: number) => i >= from && (!isThinned || (i - from) % 2 === 0);
    this.#seqs = this.#seqs.filter(kept);
    this.#times = this.#times.filter(kept);
  }
}
