/** The values of counters over time, in a ring that grows up to a limit. Values that do not change take no space. */
export class History {
  readonly #width: number;
  #times = new Float64Array(2);
  #values: Float64Array;
  #first = 0;
  #count = 0;
  /** Whether old values were dropped. */
  #dropped = false;

  /** @param width the number of counters */
  constructor(width: number) {
    this.#width = width;
    this.#values = new Float64Array(2 * width);
  }

  /**
   * Adds the values of all counters.
   *
   * @param time must not be before the previous one
   * @param limit the number of values to keep of each counter
   */
  add(time: number, values: ArrayLike<number>, limit: number): void {
    if (this.#count > 0 && this.#isLast(values)) return;
    while (this.#count >= Math.max(2, limit)) this.#dropFirst();
    if (this.#count === this.#times.length) this.#resize(Math.min(2 * this.#count, Math.max(2, limit)));
    const slot = this.#slot(this.#count++);
    this.#times[slot] = time;
    this.#values.set(values, slot * this.#width);
  }

  /** The value of a counter at a time: 0 before the first one. */
  at(counter: number, time: number): number {
    for (let i = this.#count - 1; i >= 0; i--) {
      const slot = this.#slot(i);
      if (this.#times[slot]! <= time || i === 0 && this.#dropped) {
        return this.#values[slot * this.#width + counter]!;
      }
    }
    return 0;
  }

  #slot(index: number): number {
    return (this.#first + index) % this.#times.length;
  }

  #isLast(values: ArrayLike<number>): boolean {
    const start = this.#slot(this.#count - 1) * this.#width;
    for (let i = 0; i < this.#width; i++) if (this.#values[start + i] !== values[i]) return false;
    return true;
  }

  #dropFirst(): void {
    this.#first = this.#slot(1);
    this.#count--;
    this.#dropped = true;
  }

  #resize(size: number): void {
    const times = new Float64Array(size);
    const values = new Float64Array(size * this.#width);
    for (let i = 0; i < this.#count; i++) {
      const slot = this.#slot(i);
      times[i] = this.#times[slot]!;
      values.set(this.#values.subarray(slot * this.#width, (slot + 1) * this.#width), i * this.#width);
    }
    this.#times = times;
    this.#values = values;
    this.#first = 0;
  }
}
