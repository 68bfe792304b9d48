import type { Clock, Timer } from "../core/clock.ts";
import { MAX_TIMER } from "../../transport/waiting.ts";

/** A timer of a test clock. */
interface TestTimer {
  /** When it fires, in milliseconds since 1970. */
  due: number;
  /** The interval; 0 for a timer that fires once. */
  readonly period: number;
  readonly callback: () => void;
  /** The real timer, while the time runs. */
  real: ReturnType<typeof setTimeout> | undefined;
}

/** How a test clock starts. */
export interface TestClockOptions {
  /** The time at the start, in milliseconds since 1970. Default: now */
  readonly start?: number | undefined;
  /** Whether the time also passes by itself. Default: it stands still between calls of `advance` */
  readonly running?: boolean | undefined;
}

/**
 * A clock for tests of what a broker does as time passes: `openBroker({ clock: new TestClock() })`.
 *
 * @example A message expires
 * ```ts
 * import { openBroker, TestClock } from "../../../mod.ts";
 * const clock = new TestClock();
 * await using broker = await openBroker({ clock });
 * // … publish a message with a time to live of an hour …
 * clock.advance(3_600_000);
 * ```
 */
export class TestClock implements Clock {
  readonly #running: boolean;
  readonly #timers = new Set<TestTimer>();
  /** The time; while it runs, what is added to that of the system. */
  #time: number;

  /** Makes a clock that starts now, and stands still. */
  constructor({ start = Date.now(), running = false }: TestClockOptions = {}) {
    this.#running = running;
    this.#time = running ? start - Date.now() : start;
  }

  /** Milliseconds since 1970. */
  now(): number {
    return this.#running ? this.#time + Date.now() : this.#time;
  }

  /** The same as `now`. */
  monotonic(): number {
    return this.now();
  }

  /**
   * Moves the time forward. Timers that become due fire in their order, each at its time, before this returns. A regular
   * timer then fires once, as after a suspension of the machine.
   *
   * @param ms in milliseconds
   * @throws {RangeError} negative, or not a finite number
   */
  advance(ms: number): void {
    if (!(ms >= 0 && ms < Infinity)) throw new RangeError(`Cannot advance a clock by ${ms} ms`);
    const end = this.now() + ms;
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#moveTo(Math.max(next.due, this.now()));
      this.#timers.delete(next);
      clearTimeout(next.real);
      next.callback();
    }
    this.#moveTo(Math.max(end, this.now()));
    for (const timer of [...this.#timers]) {
      if (timer.due <= end && this.#timers.has(timer)) {
        timer.due = end + timer.period;
        timer.callback();
      }
    }
    if (this.#running) { for (const timer of this.#timers) this.#arm(timer); }
  }

  /** Calls `callback` once, after `ms` milliseconds of this clock. */
  setTimeout(callback: () => void, ms: number): Timer {
    return this.#add(callback, ms, 0);
  }

  /** Ends a timer; undefined is ignored. */
  clearTimeout(timer: Timer): void {
    const known = timer as TestTimer | undefined;
    if (known !== undefined && this.#timers.delete(known)) clearTimeout(known.real);
  }

  /** Calls `callback` regularly; once if several times have passed at once. */
  setInterval(callback: () => void, ms: number): Timer {
    return this.#add(callback, ms, Math.max(1, ms));
  }

  /** Ends a regular timer; undefined is ignored. */
  clearInterval(timer: Timer): void {
    this.clearTimeout(timer);
  }

  #add(callback: () => void, ms: number, period: number): Timer {
    const timer: TestTimer = { due: this.now() + Math.max(0, ms), period, callback, real: undefined };
    this.#timers.add(timer);
    if (this.#running) this.#arm(timer);
    return timer;
  }

  #moveTo(time: number): void {
    this.#time = this.#running ? time - Date.now() : time;
  }

  /** The first of the timers that fire once and are due. */
  #next(end: number): TestTimer | undefined {
    let next: TestTimer | undefined;
    for (const timer of this.#timers) {
      if (timer.period === 0 && timer.due <= end && timer.due < (next?.due ?? Infinity)) next = timer;
    }
    return next;
  }

  /** Lets a timer fire as the time runs. */
  #arm(timer: TestTimer): void {
    clearTimeout(timer.real);
    const left = Math.min(Math.max(0, timer.due - this.now()), MAX_TIMER);
    timer.real = setTimeout(() => {
      if (this.now() >= timer.due) {
        if (timer.period > 0) timer.due = this.now() + timer.period;
        else this.#timers.delete(timer);
        timer.callback();
      }
      if (this.#timers.has(timer)) this.#arm(timer);
    }, left);
  }
}
