/** Compares a run with an earlier one, whose report is in a file. */
import fs from "node:fs";
import { UsageError } from "../app/errors.ts";
import { phrase } from "../app/reporter.ts";
import { PERCENTILES, type Report, type Settings } from "./report.ts";

/** The settings that make figures incomparable when they differ. */
const SETTINGS = [
  "role",
  "size",
  "clients",
  "rate",
  "variant",
] as const satisfies readonly (keyof Settings)[];

/**
 * Reads the last report of a benchmark from a file with one JSON record per line.
 *
 * @throws {UsageError} the file cannot be read, or has no such report
 */
export function readReport(file: string, benchmark: string): Report {
  let text: string;
  try {
    text = fs.readFileSync(file, "utf8");
  } catch (error) {
    throw new UsageError(`--against '${file}': ${phrase(error)}`);
  }
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const reports = lines.map((line, at): Report => {
    try {
      return JSON.parse(line);
    } catch (error) {
      throw new UsageError(
        `--against '${file}': line ${at + 1} is not a report of mqcat bench -J: ${phrase(error)}`,
      );
    }
  });
  const found = reports.findLast((report) => report?.benchmark === benchmark);
  if (found === undefined) {
    throw new UsageError(
      `--against '${file}': it has no report of ${benchmark} (mqcat bench ${benchmark} -J >>FILE writes one)`,
    );
  }
  return found;
}

/** The differences in the settings of two runs: `size 64, before 128`. */
export function differences(now: Settings, before: Settings): string[] {
  return SETTINGS.filter((name) => now[name] !== before[name])
    .map((name) => `${name} ${now[name] || "none"}, before ${before[name] || "none"}`);
}

/** The ratio of each figure to that of the earlier run, by its path: `received.rate`, `latency.p99`. */
export function ratiosTo(now: Report, before: Report): Map<string, number> {
  const ratios = new Map<string, number>();
  const compare = (path: string, value: number | undefined, base: number | undefined) => {
    if (value === undefined || base === undefined || !(base > 0)) return;
    ratios.set(path, Number((value / base).toFixed(4)));
  };
  for (const name of ["sent", "confirmed", "received"] as const) {
    compare(`${name}.rate`, now[name]?.rate, before[name]?.rate);
  }
  for (const name of ["latency", "confirmLatency"] as const) {
    for (const figure of PERCENTILES) {
      compare(`${name}.${figure}`, now[name]?.[figure], before[name]?.[figure]);
    }
  }
  return ratios;
}
