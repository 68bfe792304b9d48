/** Wakes everybody who waits, as often as something changes: one promise for all of them, made only when needed. */
export class Signal {
  #promise: Promise<void> | undefined;
  #resolve: (() => void) | undefined;

  /** Resolves at the next `fire`. */
  wait(): Promise<void> {
    return this.#promise ??= new Promise((resolve) => this.#resolve = resolve);
  }

  /** The same, but for `ms` milliseconds at most. */
  async waitFor(ms: number): Promise<void> {
    // A timer takes a 32-bit number; a longer wait is forever.
    if (ms >= 2 ** 31) return await this.wait();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, Math.max(0, ms)));
    await Promise.race([this.wait(), late]);
    clearTimeout(timer);
  }

  fire(): void {
    const resolve = this.#resolve;
    this.#promise = this.#resolve = undefined;
    resolve?.();
  }
}
