import type { Chance } from "./mutate.ts";

/** A part of the library that takes a stranger's bytes. */
export interface Target {
  readonly name: string;
  /** Valid inputs, to be spoiled. */
  readonly seeds: readonly Uint8Array[];
  /**
   * Takes one input. Errors of the library are refusals; any other one is a find, and it may throw one itself that says
   * which promise was broken.
   */
  run(input: Uint8Array, chance: Chance): void | Promise<void>;
  /** How many runs go at a time, as they wait for deadlines. 1 unless told. */
  readonly lanes?: number;
}
