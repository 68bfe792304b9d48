import { setImmediate } from "node:timers";
import type { Session } from "../app/session.ts";

/** Timers are too late by up to this time, in milliseconds; the rest of a wait polls. */
const TIMER_SLACK_MS = 2;

/** What ends the sending: a count, a duration, or a call of `stop`. */
export interface Limits {
  /** Messages of all senders. Default: no limit */
  readonly count?: number | undefined;
  /** In milliseconds. Default: no limit */
  readonly duration?: number | undefined;
  /** Messages per second of all senders. Default: as fast as possible */
  readonly rate?: number | undefined;
}

/**
 * The intended times of the messages of one sender. With a rate, latency counts from the intended time and not from the
 * moment of sending: a stall delays the messages after it, and a latency without their wait would hide it.
 */
export class Schedule {
  /** The number of messages that the caller has sent. */
  sent = 0;
  readonly #session: Session;
  readonly #count: number;
  readonly #end: number;
  /** The time between two messages, in milliseconds; 0 without a rate. */
  readonly #period: number;
  readonly #start: number;
  #stopped = false;

  /**
   * @param start the time of the first message, by `performance.now()`
   * @param index the number of this sender, from 0, of `senders`: they share the count and the rate
   */
  constructor(
    session: Session,
    { count, duration, rate }: Limits,
    start: number,
    index = 0,
    senders = 1,
  ) {
    this.#session = session;
    this.#count = count === undefined
      ? Infinity
      : Math.floor(count / senders) + (index < count % senders ? 1 : 0);
    this.#end = start + (duration ?? Infinity);
    this.#period = rate === undefined ? 0 : 1000 * senders / rate;
    this.#start = start + this.#period * index / senders;
  }

  /** Whether the times are given by a rate. */
  get paced(): boolean {
    return this.#period > 0;
  }

  /** Whether all messages are sent, or the time is over. */
  get over(): boolean {
    return this.#stopped || this.#session.stopping || this.sent >= this.#count ||
      performance.now() >= this.#end;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** When message number `index` should be sent, by `performance.now()`. */
  intended(index: number): number {
    return this.#start + index * this.#period;
  }

  /** The number of messages that may be sent now. */
  due(now: number): number {
    const left = this.#count - this.sent;
    if (!this.paced) return left;
    return Math.max(0, Math.min(left, Math.floor((now - this.#start) / this.#period) + 1 - this.sent));
  }

  /** Waits until the next message is due, or the time is over. */
  async wait(): Promise<void> {
    const until = Math.min(this.intended(this.sent), this.#end);
    while (!this.#stopped && !this.#session.stopping) {
      const left = until - performance.now();
      if (left <= 0) return;
      if (left > TIMER_SLACK_MS) await this.#session.sleep(left - TIMER_SLACK_MS);
      else await turn();
    }
  }
}

/** Lets the runtime handle what has arrived. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
