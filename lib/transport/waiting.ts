/** The longest delay that a timer of the runtimes accepts, in milliseconds. */
export const MAX_TIMER: number = 2 ** 31 - 1;

/** Wakes all waiting functions at each change. They share one promise, which is made only when needed. */
export class Signal {
  #promise: Promise<void> | undefined;
  #resolve: (() => void) | undefined;

  /** Resolves at the next `fire`, or after `ms` milliseconds; a wait over `MAX_TIMER` is forever. */
  async wait(ms = Infinity): Promise<void> {
    const fired = this.#promise ??= new Promise((resolve) => this.#resolve = resolve);
    if (ms > MAX_TIMER) return await fired;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, Math.max(0, ms)));
    await Promise.race([fired, late]);
    clearTimeout(timer);
  }

  /** Wakes all waiting functions. */
  fire(): void {
    const resolve = this.#resolve;
    this.#promise = this.#resolve = undefined;
    resolve?.();
  }
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
