/** Wakes everybody who waits, as often as something changes: one promise for all of them, made only when needed. */
export class Signal {
  #promise: Promise<void> | undefined;
  #resolve: (() => void) | undefined;

  /** Resolves at the next `fire`, or after `ms` milliseconds. */
  async wait(ms = Infinity): Promise<void> {
    const fired = this.#promise ??= new Promise((resolve) => this.#resolve = resolve);
    // A timer takes a 32-bit number; a longer wait is forever.
    if (ms >= 2 ** 31) return await fired;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, Math.max(0, ms)));
    await Promise.race([fired, late]);
    clearTimeout(timer);
  }

  fire(): void {
    const resolve = this.#resolve;
    this.#promise = this.#resolve = undefined;
    resolve?.();
  }
}
