/** The results of a run, which `--json` writes and the chart reads. */
import fs from "node:fs";
import { type Measurement, type Row, type Side, type Unit, UNITS } from "./row.ts";
import { median, type Spread, spreadOf } from "./statistics.ts";

export interface Results {
  /** When the last row was measured, in ISO 8601. */
  readonly date: string;
  readonly machine: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly rows: readonly RowResult[];
}

export interface RowResult {
  readonly name: string;
  readonly group: string;
  readonly title: string;
  readonly unit: Unit;
  readonly rounds: number;
  /** Whether less work was done than normally: the ratios are rough. */
  readonly quick: boolean;
  readonly sides: readonly SideResult[];
}

export interface SideResult {
  readonly name: string;
  /** The value of each round. */
  readonly values: readonly number[];
  readonly median: number;
  /** The median of the CPU time, in seconds. */
  readonly cpu?: number;
  /** The largest resident memory of a process, in MiB. */
  readonly memory?: number;
  /** The name of the peer, and the ratio to it: over 1 is better than the peer. Only for our programs. */
  readonly against?: string;
  readonly ratio?: Spread;
  /** The peer's CPU time divided by ours. */
  readonly cpuRatio?: number;
  readonly target?: number;
}

/** Sums up the measurements of the rounds of a row. */
export function summarize(
  group: string,
  { name, title, unit, targets }: Row,
  measurements: ReadonlyMap<Side, readonly Measurement[]>,
  quick: boolean,
): RowResult {
  const sides = [...measurements.keys()];
  const valuesOf = (side: Side) => measurements.get(side)!.map(({ value }) => value);
  const results = sides.map((side): SideResult => {
    const values = valuesOf(side);
    const cpu = cpuOf(measurements.get(side)!);
    const memories = measurements.get(side)!.flatMap(({ memory }) => memory ?? []);
    const peer = sides.find(({ name }) => name === side.against);
    const target = targets?.[side.name];
    const common = {
      name: side.name,
      values: values.map(rounded),
      median: rounded(median(values)),
      ...(cpu === undefined ? {} : { cpu: rounded(cpu) }),
      ...(memories.length === 0 ? {} : { memory: Math.round(Math.max(...memories)) }),
    };
    if (peer === undefined) return common;
    const peerCpu = cpuOf(measurements.get(peer)!);
    const ratio = spreadOf(ratiosOf(unit, values, valuesOf(peer)));
    return {
      ...common,
      against: peer.name,
      ratio: { median: rounded(ratio.median), low: rounded(ratio.low), high: rounded(ratio.high) },
      ...(cpu && peerCpu !== undefined ? { cpuRatio: rounded(peerCpu / cpu) } : {}),
      ...(target === undefined ? {} : { target }),
    };
  });
  const rounds = valuesOf(sides[0]!).length;
  return { name, group, title, unit, rounds, quick, sides: results };
}

/** The ratio of each round: over 1 is better than the peer. */
export function ratiosOf(unit: Unit, ours: readonly number[], peers: readonly number[]): number[] {
  return ours.map((value, round) => {
    const peer = peers[round]!;
    return UNITS[unit] === "more" ? value / peer : peer / value;
  });
}

/**
 * Adds results to a file. Rows that it has from earlier runs on the same machine stay, unless they are measured again.
 *
 * @param order the names of all rows, in the order of the file
 */
export function save(file: string, results: Results, order: readonly string[]): void {
  const before = fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, "utf8")) as Results : undefined;
  const kept = before?.machine === results.machine ? before.rows : [];
  const rows = new Map([...kept, ...results.rows].map((row) => [row.name, row]));
  const sorted = [...rows.values()].sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  fs.writeFileSync(file, `${JSON.stringify({ ...results, rows: sorted }, undefined, 1)}\n`);
}

function cpuOf(list: readonly Measurement[]): number | undefined {
  const values = list.flatMap(({ cpu }) => cpu ?? []);
  return values.length === 0 ? undefined : median(values);
}

/** Four significant digits are more than a benchmark knows. */
function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
