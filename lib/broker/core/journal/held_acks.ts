import { addAck } from "./format/acks.ts";
import type { Segment } from "./segment.ts";

/** A range of settled messages of one lane, both ends included, which messages of one segment replaced. */
interface HeldRange {
  readonly origin: Segment;
  readonly successor: Segment;
  readonly queueId: number;
  readonly lane: number;
  readonly from: number;
  to: number;
  /** The position of the log after the last replacement. */
  until: number;
}

/**
 * The acknowledgements of messages that other messages replaced: dead letters, delayed messages
 * that became due, and messages that were moved to another queue.
 *
 * A replacement names its origin in its own record, so it acknowledges the origin as soon as it can be read. Any other
 * acknowledgement must wait: if it reached the disk first, or the origin's segment was deleted first, a power failure
 * would leave neither of the two messages. Both segments have a count of what is held (`Segment.held`), and a segment
 * with a count is not deleted: the origin's because of the origin, the successor's because it is the only
 * acknowledgement.
 */
export class HeldAcks {
  /** Ascending by `until`. */
  #ranges: HeldRange[] = [];
  /** The range that can grow; a range that was flushed does not, so that it becomes safe. */
  #last: HeldRange | undefined;

  /** @param until the position of the log after the replacement */
  add(origin: Segment, successor: Segment, queueId: number, lane: number, seq: number, until: number): void {
    const last = this.#last;
    if (
      last !== undefined && last.to === seq - 1 && last.queueId === queueId && last.lane === lane &&
      last.origin === origin && last.successor === successor
    ) {
      last.to = seq;
      last.until = until;
      return;
    }
    origin.held++;
    successor.held++;
    this.#ranges.push(this.#last = { origin, successor, queueId, lane, from: seq, to: seq, until });
  }

  /**
   * Hands the acknowledgements to the segments of the origins, if the replacements are safe.
   *
   * @param safe the log is safe up to this position
   * @param changed called with each segment that has acknowledgements to write
   */
  release(safe: number, changed: (segment: Segment) => void): void {
    this.#last = undefined;
    const ranges = this.#ranges;
    let count = 0;
    while (count < ranges.length && ranges[count]!.until <= safe) release(ranges[count++]!, changed);
    if (count > 0) this.#ranges = ranges.slice(count);
  }

  /** Like `release`, for replacements that are settled themselves and will never be safe: the disk is full. */
  releaseSettled(changed: (segment: Segment) => void): void {
    this.#last = undefined;
    this.#ranges = this.#ranges.filter((range) => {
      if (range.successor.live > 0) return true;
      release(range, changed);
      return false;
    });
  }
}

function release(
  { origin, successor, queueId, lane, from, to }: HeldRange,
  changed: (segment: Segment) => void,
) {
  origin.held--;
  successor.held--;
  addAck(origin, queueId, lane, from);
  origin.ackTo = to;
  changed(origin);
}
