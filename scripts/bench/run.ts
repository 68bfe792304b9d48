/** Runs one row: its sides in turns, in several rounds. */
import type { Lab } from "./lab.ts";
import { type RowResult, summarize } from "./results.ts";
import type { Measurement, Row, Side } from "./row.ts";

export interface RunOptions {
  readonly rounds: number;
  /** No further round begins after this time, in milliseconds. */
  readonly limitMs: number;
}

export async function runRow(lab: Lab, group: string, row: Row, options: RunOptions): Promise<RowResult> {
  const sides = await row.sides(lab);
  const measurements = new Map(sides.map((side): [Side, Measurement[]] => [side, []]));
  const began = performance.now();
  for (let round = 0; round < options.rounds; round++) {
    if (round > 0 && performance.now() - began > options.limitMs) break;
    // Every second round runs in the opposite order, so that no side always follows the same one.
    const order = round % 2 === 0 ? sides : sides.toReversed();
    for (const side of order) measurements.get(side)!.push(await side.measure());
  }
  return summarize(group, row, measurements, lab.quick);
}
