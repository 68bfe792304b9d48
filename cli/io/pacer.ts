import type { Session } from "../app/session.ts";

/** The values of the pacing options, in milliseconds and messages per second. */
export interface PacingOptions {
  readonly interval: number | undefined;
  readonly delay: number | undefined;
  readonly rate: number | undefined;
}

/** How late a timer may fire, in milliseconds. */
const LATE_MS = 20;

/** Whether `-D` and `-F` are sent repeatedly. */
export function repeats(options: Partial<PacingOptions>): boolean {
  return options.interval !== undefined || options.rate !== undefined;
}

/** Delays messages to keep the requested pace. A signal ends every wait. */
export class Pacer {
  /** Whether messages are sent without delay. */
  readonly idle: boolean;
  readonly #session: Session;
  readonly #delay: number;
  /** The interval between two messages, in milliseconds. */
  readonly #period: number;
  /** The largest delay that later messages make up for, in milliseconds. */
  readonly #slack: number;
  #due = 0;

  constructor(session: Session, { interval, delay, rate }: PacingOptions) {
    this.#session = session;
    this.#delay = delay ?? 0;
    this.#period = Math.max(interval ?? 0, rate === undefined ? 0 : 1000 / rate);
    this.#slack = interval === undefined ? LATE_MS : 0;
    this.idle = this.#period === 0;
  }

  /** Waits for the time of `-d`. */
  start(): Promise<void> {
    return this.#session.sleep(this.#delay);
  }

  /** Waits until the next message may go. */
  async turn(): Promise<void> {
    if (this.idle) return;
    const now = performance.now();
    // A rate makes up for late timers, but not for an idle input.
    if (now - this.#due > this.#slack) this.#due = now;
    await this.#session.sleep(this.#due - now);
    this.#due += this.#period;
  }
}
