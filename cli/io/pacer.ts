import type { Session } from "../app/session.ts";

/** What the pacing options say, in milliseconds and messages a second. */
export interface PacingOptions {
  readonly interval: number | undefined;
  readonly delay: number | undefined;
  readonly rate: number | undefined;
}

/** How late a timer may ring, in milliseconds. */
const LATE_MS = 20;

/** Whether `-D` and `-F` are to be sent over and over. */
export function repeats(options: PacingOptions): boolean {
  return options.interval !== undefined || options.rate !== undefined;
}

/** Holds messages back to the pace that was asked for. A signal ends every wait. */
export class Pacer {
  /** Whether messages go as fast as they can. */
  readonly idle: boolean;
  readonly #session: Session;
  readonly #delay: number;
  /** Between two messages, in milliseconds. */
  readonly #period: number;
  /** How late a message may be for the next ones to make up for it, in milliseconds. */
  readonly #slack: number;
  #due = 0;

  constructor(session: Session, { interval, delay, rate }: PacingOptions) {
    this.#session = session;
    this.#delay = delay ?? 0;
    this.#period = Math.max(interval ?? 0, rate === undefined ? 0 : 1000 / rate);
    this.#slack = interval === undefined ? LATE_MS : 0;
    this.idle = this.#period === 0;
  }

  /** Waits for `-d`. */
  start(): Promise<void> {
    return this.#session.sleep(this.#delay);
  }

  /** Waits until the next message may go. */
  async turn(): Promise<void> {
    if (this.idle) return;
    const now = performance.now();
    // A rate makes up for timers that ring late; an idle input earns no burst.
    if (now - this.#due > this.#slack) this.#due = now;
    await this.#session.sleep(this.#due - now);
    this.#due += this.#period;
  }
}
