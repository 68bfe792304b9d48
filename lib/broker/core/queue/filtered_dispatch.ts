import { CLOCK_EVERY, END, FOUND, type Matches, PAUSED, TURN_MS } from "./matches.ts";

/** A consumer with a filter. */
export interface FilteredConsumer {
  readonly matches: Matches | undefined;
  readonly options: { readonly drain?: boolean };
}

/** The part of a queue that this needs. */
export interface FilteredQueue<C extends FilteredConsumer> {
  readonly consumers: { readonly filtered: readonly C[]; accepts(consumer: C): boolean };
  /** Takes a ready message and delivers it. */
  deliverTo(consumer: C, lane: number, seq: number): void;
  /** Ends a consumer that wants no further messages. */
  end(consumer: C): void;
  /** Dispatches the queue in a cycle of its own. */
  dispatchSoon(): void;
}

/** Delivers to the consumers with a filter, in turn, what matches. */
export class FilteredDispatch<C extends FilteredConsumer> {
  readonly #queue: FilteredQueue<C>;
  #turn = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(queue: FilteredQueue<C>) {
    this.#queue = queue;
  }

  /**
   * Delivers for a short time. What is left follows after other events had their turn.
   *
   * @param now messages that expire at this time or before are ignored
   * @returns whether there was a message
   */
  run(now: number): boolean {
    const queue = this.#queue;
    const { consumers } = queue;
    const { filtered } = consumers;
    const deadline = performance.now() + TURN_MS;
    let delivered = false;
    let steps = 0;
    for (let idle = 0; idle < filtered.length;) {
      const consumer = filtered[this.#turn++ % filtered.length]!;
      const matches = consumer.matches!;
      const isWaiting = consumers.accepts(consumer);
      const found = isWaiting ? matches.next(now, deadline) : END;
      if (found === FOUND) {
        idle = 0;
        delivered = true;
        queue.deliverTo(consumer, matches.lane, matches.seq);
      } else if (found === END) {
        idle++;
        if (isWaiting && consumer.options.drain) queue.end(consumer);
      }
      const isTime = ++steps % CLOCK_EVERY === 0 && performance.now() >= deadline;
      if (found === PAUSED || isTime) {
        this.#continueLater();
        break;
      }
    }
    return delivered;
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #continueLater(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#queue.dispatchSoon();
    }, 0);
  }
}
