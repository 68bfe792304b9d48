import type { Chance } from "./mutate.ts";

/** A part of the library that reads untrusted bytes. */
export interface Target {
  readonly name: string;
  /** Valid inputs, which the fuzzer mutates. */
  readonly seeds: readonly Uint8Array[];
  /**
   * Processes one input. An error of the library is a correct refusal; any other error is a failure. The target throws an
   * error of its own if the library broke a guarantee.
   */
  run(input: Uint8Array, chance: Chance): void | Promise<void>;
  /** The number of concurrent runs, for targets that wait for deadlines. Default: 1. */
  readonly lanes?: number;
}
