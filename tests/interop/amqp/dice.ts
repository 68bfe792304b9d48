/** A seeded random generator: a linear congruential generator (Numerical Recipes) that uses the high bits. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed * 2654435761 >>> 0;
  }

  below(count: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return Math.floor(this.#state / 2 ** 32 * count);
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
}
