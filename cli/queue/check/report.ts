/** The result of a check: what was found, and the figures that it was found from. */

/** How bad a finding is. `unknown`: what was asked for cannot be found out. */
export type Severity = "ok" | "warning" | "unknown" | "critical";

/** The order of severities: the last one of the findings is the status of the check. */
const ORDER: readonly Severity[] = ["ok", "warning", "unknown", "critical"];

/** Something that is not as it must be. */
export interface Finding {
  readonly severity: Exclude<Severity, "ok">;
  readonly text: string;
}

/** A number that the check found, with the limits that it was compared with. */
export interface Figure {
  /** A name of letters and underscores: `oldest_message_age_seconds`. */
  readonly name: string;
  readonly value: number;
  readonly max?: number | undefined;
  readonly min?: number | undefined;
}

/** A finished check. */
export interface Report {
  /** What was checked: `queue 'jobs'`. */
  readonly subject: string;
  /** The same for programs: `{ vhost: "/", queue: "jobs" }`. */
  readonly labels: Readonly<Record<string, string>>;
  /** What is reported without findings: `3 ready, 1 consumer`. */
  readonly summary: string;
  readonly findings: readonly Finding[];
  readonly figures: readonly Figure[];
}

/** The status of a check. */
export function statusOf({ findings }: Report): Severity {
  return ORDER[Math.max(0, ...findings.map(({ severity }) => ORDER.indexOf(severity)))]!;
}

/** What was found, the worst first; without findings, the summary. */
export function wordsOf({ findings, summary }: Report): string {
  if (findings.length === 0) return summary;
  const sorted = findings.toSorted((a, b) => ORDER.indexOf(b.severity) - ORDER.indexOf(a.severity));
  return sorted.map(({ text }) => text).join("; ");
}
