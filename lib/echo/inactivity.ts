import { MAX_TIMER } from "../transport/waiting.ts";

/**
 * Calls back once after a period without activity. `touch` only reads the clock, so it may be called for every chunk;
 * the timer itself is set at most once per period.
 */
export class InactivityTimer {
  readonly #period: number;
  readonly #expire: () => void;
  readonly #waiting: () => boolean;
  #last = performance.now();
  #timer: ReturnType<typeof setTimeout>;

  /**
   * @param period in milliseconds
   * @param waiting whether the time counts: while it returns false, the period starts over
   */
  constructor(period: number, expire: () => void, waiting: () => boolean = () => true) {
    this.#period = period;
    this.#expire = expire;
    this.#waiting = waiting;
    this.#timer = setTimeout(this.#check, Math.min(period, MAX_TIMER));
  }

  /** Starts the period over. */
  touch(): void {
    this.#last = performance.now();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  readonly #check = (): void => {
    if (!this.#waiting()) this.touch();
    const left = this.#last + this.#period - performance.now();
    if (left <= 0) this.#expire();
    else this.#timer = setTimeout(this.#check, Math.min(Math.ceil(left), MAX_TIMER));
  };
}
