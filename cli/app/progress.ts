import { durationText } from "./text.ts";
import type { Session } from "./session.ts";

/** The shortest time between two updates of the line, in milliseconds. */
const EVERY_MS = 200;
/** Shorter work shows no line, in milliseconds. */
const PATIENCE_MS = 500;
/** The period over which the rate is measured, in milliseconds. */
const RATE_MS = 1000;

/**
 * The progress line of long work on a terminal's stderr: `1234567 confirmed, 203400/s`, and where the end is known
 * `, 45 %, 12 s left`. It is rewritten in place, and removed when the work ends and while another line is printed.
 */
export class Progress {
  readonly #session: Session;
  readonly #count: () => number;
  readonly #what: () => string;
  readonly #part: () => number | undefined;
  readonly #timer: ReturnType<typeof setInterval> | undefined;
  readonly #began = performance.now();
  /** The counts of the last second or so, with their times. */
  #marks: { readonly at: number; readonly count: number }[] = [];

  /**
   * @param count returns the number of finished messages
   * @param what the word for a finished message, `confirmed`
   * @param part returns which part of the work is done, from 0 to 1; undefined if the end is not known
   */
  constructor(
    session: Session,
    count: () => number,
    what: string | (() => string),
    part: () => number | undefined = () => undefined,
  ) {
    this.#session = session;
    this.#count = count;
    this.#what = typeof what === "string" ? () => what : what;
    this.#part = part;
    if (!session.reporter.hasTerminal) return;
    this.#timer = setInterval(() => this.#update(), EVERY_MS);
  }

  /** Removes the line. */
  end(): void {
    clearInterval(this.#timer);
    this.#session.reporter.status("");
  }

  /** The part that is done, and the time that the rest needs at the same speed. */
  #rest(elapsed: number): string {
    const part = this.#part();
    if (part === undefined || part <= 0) return "";
    const seconds = elapsed * (1 - part) / part / 1000;
    return `, ${Math.floor(part * 100)} %, ${durationText(seconds)} left`;
  }

  #update(): void {
    const now = performance.now();
    const count = this.#count();
    this.#marks.push({ at: now, count });
    while (this.#marks.length > 2 && now - this.#marks[1]!.at >= RATE_MS) this.#marks.shift();
    if (now - this.#began < PATIENCE_MS) return;
    const first = this.#marks[0]!;
    const rate = Math.round((count - first.count) / Math.max(EVERY_MS, now - first.at) * 1000);
    this.#session.reporter.status(`${count} ${this.#what()}, ${rate}/s${this.#rest(now - this.#began)}`);
  }
}
