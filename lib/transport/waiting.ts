import { clearTimeout, setTimeout } from "node:timers";

/** The longest delay that a timer of the runtimes accepts, in milliseconds. */
export const MAX_TIMER: number = 2 ** 31 - 1;

/**
 * Wakes all waiting functions at each change. They share one promise, and one timer for their limits, which is kept from
 * wait to wait: a busy stream waits thousands of times a second, and a timer costs more than the wait.
 */
export class Signal {
  #promise: Promise<void> | undefined;
  #resolve: (() => void) | undefined;
  /** The earliest limit of the current waits. */
  #due = Infinity;
  #timer: NodeJS.Timeout | undefined;
  /** When the timer fires, which may be before any limit: then it is set again. */
  #firesAt = Infinity;

  /**
   * Resolves at the next `fire`, or after `ms` milliseconds, or when another wait reaches its limit: look at the condition
   * again. A limit over `MAX_TIMER` is ignored.
   */
  wait(ms = Infinity): Promise<void> {
    const fired = this.#promise ??= new Promise((resolve) => this.#resolve = resolve);
    if (ms <= MAX_TIMER) this.#limit(performance.now() + Math.max(0, ms));
    return fired;
  }

  /** Wakes all waiting functions. */
  fire(): void {
    const resolve = this.#resolve;
    this.#promise = this.#resolve = undefined;
    if (this.#due < Infinity) {
      this.#due = Infinity;
      this.#timer?.unref(); // Nothing waits for it now, so it must not keep the process alive.
    }
    resolve?.();
  }

  #limit(due: number): void {
    if (due >= this.#due) return;
    this.#due = due;
    if (due < this.#firesAt) this.#arm();
    else this.#timer?.ref();
  }

  #arm(): void {
    clearTimeout(this.#timer);
    this.#firesAt = this.#due;
    // The runtimes warn on stderr about a negative delay.
    this.#timer = setTimeout(this.#onTimer, Math.max(0, this.#due - performance.now()));
  }

  readonly #onTimer = (): void => {
    this.#timer = undefined;
    this.#firesAt = Infinity;
    if (this.#due === Infinity) return;
    if (performance.now() < this.#due) this.#arm();
    else this.fire();
  };
}

/** Resolves after `ms` milliseconds, or at once when `stop` is aborted. */
export function sleep(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      stop.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, ms);
    stop.addEventListener("abort", wake);
    if (stop.aborted) wake();
  });
}
