import type { Session } from "./session.ts";

/** How often the line changes at most, in milliseconds. */
const EVERY_MS = 200;
/** Work that is done sooner has no line. */
const PATIENCE_MS = 500;
/** The rate is that of so many milliseconds. */
const RATE_MS = 1000;

/**
 * A line on a terminal's stderr that tells how far long work is, `1234567 confirmed, 203400/s`, written again and
 * again in its place. It is gone when the work ends, and while another line is printed.
 */
export class Progress {
  readonly #session: Session;
  readonly #count: () => number;
  readonly #what: () => string;
  readonly #timer: ReturnType<typeof setInterval> | undefined;
  readonly #began = performance.now();
  /** The counts of the last second or so, with their times. */
  #marks: { readonly at: number; readonly count: number }[] = [];

  /**
   * @param count how many messages are done
   * @param what what they are then, `confirmed`
   */
  constructor(session: Session, count: () => number, what: string | (() => string)) {
    this.#session = session;
    this.#count = count;
    this.#what = typeof what === "string" ? () => what : what;
    if (!session.reporter.hasTerminal) return;
    this.#timer = setInterval(() => this.#tell(), EVERY_MS);
  }

  /** Takes the line away. */
  end(): void {
    clearInterval(this.#timer);
    this.#session.reporter.status("");
  }

  #tell(): void {
    const now = performance.now();
    const count = this.#count();
    this.#marks.push({ at: now, count });
    while (this.#marks.length > 2 && now - this.#marks[1]!.at >= RATE_MS) this.#marks.shift();
    if (now - this.#began < PATIENCE_MS) return;
    const first = this.#marks[0]!;
    const rate = Math.round((count - first.count) / Math.max(EVERY_MS, now - first.at) * 1000);
    this.#session.reporter.status(`${count} ${this.#what()}, ${rate}/s`);
  }
}
