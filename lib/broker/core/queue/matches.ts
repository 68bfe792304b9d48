import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import { MqcatError } from "../../../errors.ts";
import { compileFilter, type Filter } from "../../../filter/filter.ts";
import { StoredMessage } from "../stored_message.ts";
import { type Lane, READY } from "./lane.ts";
import { SeqHeap } from "./seq_heap.ts";

/** The size of the largest body whose content a filter tests, in bytes: a test must not stop the broker for long. */
const MAX_BODY = 2 ** 20;
/** How long one turn tests messages, in milliseconds. Other clients are served between two turns. */
export const TURN_MS = 4;
/**
 * The number of messages between looks at the clock. Consumers without a filter come after a whole turn, so in a short queue they
 * get only what no filter wants, also on a machine that stands still for longer than a turn.
 */
export const CLOCK_EVERY = 8;

/** The results of `Matches.next`: there is a message; there is none; the turn ended before it was known. */
export const FOUND = 1;
export const END = 0;
export const PAUSED = 2;

/** A queue, as the search sees it. */
export interface MatchSource {
  readonly lanes: readonly Lane[];
  messageAt(lane: number, seq: number): EncodedMessage | undefined;
}

/** Compiles a filter for the broker. @throws {FilterError} it is malformed */
export function brokerFilter(text: string): Filter {
  return compileFilter(text, { maxBody: MAX_BODY });
}

/**
 * Finds the ready messages of a queue that match a filter, in the order of delivery. Each message is tested once, and
 * again when it was given back. It changes nothing.
 */
export class Matches {
  /** The place of the message that `next` found. */
  lane = 0;
  seq = 0;
  /** The message that `next` found, valid until the next call of the journal. */
  message: EncodedMessage | undefined;
  /** The number of tested messages, and of those whose body is too large for the test of its content. */
  tested = 0;
  untestable = 0;
  readonly #queue: MatchSource;
  readonly #filter: Filter | undefined;
  /** For each lane: the messages before this sequence number were tested. */
  readonly #cursors: Float64Array;
  /** For each lane: the first sequence number that is not of interest; undefined: new messages are tested, too. */
  readonly #ends: Float64Array | undefined;
  /** For each lane: messages before the cursor that were given back. */
  readonly #returned: SeqHeap[];
  readonly #stored = new StoredMessage();

  /**
   * @param filter undefined: every message matches
   * @param follow whether messages that arrive later are tested, too
   */
  constructor(queue: MatchSource, filter: Filter | undefined, follow: boolean) {
    this.#queue = queue;
    this.#filter = filter;
    this.#cursors = new Float64Array(queue.lanes.length);
    this.#ends = follow ? undefined : Float64Array.from(queue.lanes, ({ nextSeq }) => nextSeq);
    this.#returned = queue.lanes.map(() => new SeqHeap());
  }

  /**
   * Finds the next message that matches.
   *
   * @param now messages that expire at this time or before are ignored
   * @param deadline the end of this turn, as `performance.now` counts
   */
  next(now: number, deadline: number): typeof FOUND | typeof END | typeof PAUSED {
    const { lanes } = this.#queue;
    let tested = 0;
    for (let at = lanes.length - 1; at >= 0; at--) {
      for (;;) {
        const seq = this.#candidate(at);
        if (seq < 0) break;
        this.lane = at;
        this.seq = seq;
        if (this.#isMatch(at, seq, now)) return FOUND;
        if (++tested % CLOCK_EVERY === 0 && performance.now() >= deadline) return PAUSED;
      }
    }
    return END;
  }

  /** A message was given back to the queue. */
  returned(lane: number, seq: number): void {
    if (seq < this.#cursors[lane]!) this.#returned[lane]!.push(seq);
  }

  /** Returns the next message of a lane to test, or -1. */
  #candidate(at: number): number {
    const lane = this.#queue.lanes[at]!;
    const heap = this.#returned[at]!;
    while (heap.length > 0) {
      const seq = heap.pop();
      if (lane.stateAt(seq) === READY) return seq;
    }
    const end = this.#ends?.[at] ?? lane.nextSeq;
    const seq = lane.ready === 0 ? -1 : lane.nextReady(this.#cursors[at]!);
    if (seq < 0 || seq >= end) {
      this.#cursors[at] = end;
      return -1;
    }
    this.#cursors[at] = seq + 1;
    return seq;
  }

  #isMatch(at: number, seq: number, now: number): boolean {
    const lane = this.#queue.lanes[at]!;
    const expiry = lane.expiryAt(seq);
    if (expiry > 0 && expiry <= now) return false;
    const message = this.message = this.#queue.messageAt(at, seq);
    if (message === undefined) return false; // Damaged on disk; the journal has reported it.
    this.tested++;
    if (this.#filter === undefined) return true;
    try {
      return this.#filter.matches(this.#stored.of(message, lane.isRedelivered(seq)), now);
    } catch (error) {
      if (!(error instanceof MqcatError)) throw error;
      this.untestable++;
      return false;
    }
  }
}
