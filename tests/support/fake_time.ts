/** A clock that a test moves: `performance.now` and `setTimeout`, until it is disposed of. */
export class FakeTime implements Disposable {
  now = 1000;
  /** The number of timers that were started. */
  started = 0;
  readonly #timers = new Map<number, { at: number; run: () => void }>();
  #last = 0;
  readonly #original = {
    setTimeout: globalThis.setTimeout,
    clearTimeout: globalThis.clearTimeout,
    now: performance.now,
  };

  constructor() {
    const start = (run: () => void, ms = 0) => {
      this.started++;
      this.#timers.set(++this.#last, { at: this.now + ms, run });
      return this.#last;
    };
    globalThis.setTimeout = start as unknown as typeof setTimeout;
    globalThis.clearTimeout =
      ((id: number) => void this.#timers.delete(id)) as unknown as typeof clearTimeout;
    performance.now = () => this.now;
  }

  /** The number of timers that run. */
  get timers(): number {
    return this.#timers.size;
  }

  /** Lets time pass; the timers that are due run, each at its time. */
  pass(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const [first] = [...this.#timers].sort(([, a], [, b]) => a.at - b.at);
      if (first === undefined || first[1].at > end) break;
      this.now = Math.max(this.now, first[1].at);
      this.#timers.delete(first[0]);
      first[1].run();
    }
    this.now = end;
  }

  /** Lets time pass in which the process is suspended: the timers that are due run at its end. */
  suspend(ms: number): void {
    this.now += ms;
    this.pass(0);
  }

  [Symbol.dispose](): void {
    globalThis.setTimeout = this.#original.setTimeout;
    globalThis.clearTimeout = this.#original.clearTimeout;
    performance.now = this.#original.now;
  }
}
