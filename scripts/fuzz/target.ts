import type { Chance } from "./mutate.ts";

/** A part of the library that reads untrusted bytes. */
export interface Target {
  readonly name: string;
  /** Valid inputs, which the fuzzer changes. */
  readonly seeds: readonly Uint8Array[];
  /**
   * Processes one input. Errors of the library are refusals; any other error is a finding. The target may throw one
   * itself to report a broken guarantee.
   */
  run(input: Uint8Array, chance: Chance): void | Promise<void>;
  /** The number of concurrent runs, for targets that wait for deadlines. Default: 1. */
  readonly lanes?: number;
}
