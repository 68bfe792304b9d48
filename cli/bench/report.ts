/** The report of a benchmark: figures, and how they are shown. */
import type { Histogram, Latency } from "./histogram.ts";
import type { Meter } from "./meter.ts";

/** What was measured. Two runs are comparable when these are equal. */
export interface Settings {
  readonly benchmark: string;
  readonly role: string;
  readonly size: number;
  readonly clients: number;
  /** Messages per second; null: as fast as possible. */
  readonly rate: number | null;
  /** What else changes the work: `CURVE`, `persistent`. Empty: nothing. */
  readonly variant: string;
  readonly endpoint: string;
}

/** Messages in one direction. */
export interface Flow {
  readonly messages: number;
  readonly bytes: number;
  readonly seconds: number;
  /** Messages per second. */
  readonly rate: number;
  /** Megabytes of messages per second. */
  readonly megabytesPerSecond: number;
}

/** The figures of a run; a member is missing when it was not measured. */
export interface Report extends Settings {
  readonly started: string;
  readonly version: string;
  readonly sent?: Flow;
  readonly confirmed?: Flow;
  readonly received?: Flow;
  /** The time of a round trip, or from the sender to the receiver. */
  readonly latency?: Latency;
  /** The time from sending to the confirm of the broker. */
  readonly confirmLatency?: Latency;
  /** The buckets of `latency`: the highest value of each in microseconds, and its count. */
  readonly histogram?: readonly (readonly [us: number, count: number])[];
}

/** The parts of a report that were measured. */
export interface Measured {
  readonly sent?: Meter | undefined;
  readonly confirmed?: Meter | undefined;
  readonly received?: Meter | undefined;
  readonly latency?: Histogram | undefined;
  readonly confirmLatency?: Histogram | undefined;
}

export function reportOf(settings: Settings, started: Date, version: string, measured: Measured): Report {
  const { sent, confirmed, received } = measured;
  const latency = measured.latency?.summary();
  const confirmLatency = measured.confirmLatency?.summary();
  return {
    ...settings,
    started: started.toISOString(),
    version,
    ...(sent === undefined ? {} : { sent: flowOf(sent) }),
    ...(confirmed === undefined ? {} : { confirmed: flowOf(confirmed) }),
    ...(received === undefined ? {} : { received: flowOf(received) }),
    ...(latency === undefined ? {} : { latency, histogram: measured.latency!.buckets() }),
    ...(confirmLatency === undefined ? {} : { confirmLatency }),
  };
}

function flowOf({ messages, bytes, seconds }: Meter): Flow {
  const per = (amount: number) => seconds === 0 ? 0 : amount / seconds;
  return {
    messages,
    bytes,
    seconds: Number(seconds.toFixed(6)),
    rate: Math.round(per(messages) * 10) / 10,
    megabytesPerSecond: Math.round(per(bytes) / 1e4) / 100,
  };
}

/**
 * Renders a report as lines for people.
 *
 * @param ratios the ratio of each figure to that of an earlier run, by its path
 */
export function renderReport(report: Report, ratios: ReadonlyMap<string, number> = new Map()): string {
  const { benchmark, role, size, endpoint, clients, rate, variant } = report;
  const sides = role === "both" ? "both sides in this process" : `this side ${role}s`;
  const many = clients === 1 ? "" : `, ${clients} clients`;
  const pace = rate === null ? "" : `, at ${rate}/s`;
  const more = variant === "" ? "" : `, ${variant}`;
  const lines = [`${benchmark}, messages of ${size} bytes, ${sides}${many}${pace}${more}, ${endpoint}`];
  for (const name of ["sent", "confirmed", "received"] as const) {
    const flow = report[name];
    if (flow !== undefined) lines.push(renderFlow(name, flow, ratios));
  }
  for (const [name, label] of LATENCIES) {
    const latency = report[name];
    if (latency === undefined) continue;
    const figures = PERCENTILES.map((figure) =>
      `${figure === "p999" ? "p99.9" : figure} ${renderTime(latency[figure])}${
        renderRatio(ratios.get(`${name}.${figure}`))
      }`
    );
    const what = name === "latency" && benchmark === "req-rep" ? "round trip" : label;
    lines.push(`  ${what.padEnd(10)} ${figures.join(", ")}`);
  }
  return `${lines.join("\n")}\n`;
}

const LATENCIES = [["latency", "latency"], ["confirmLatency", "confirm"]] as const;
export const PERCENTILES = ["p50", "p90", "p99", "p999", "max"] as const;

function renderFlow(name: string, flow: Flow, ratios: ReadonlyMap<string, number>): string {
  const { messages, seconds, rate, megabytesPerSecond } = flow;
  const ratio = renderRatio(ratios.get(`${name}.rate`));
  return `  ${name.padEnd(10)} ${messages} messages in ${seconds.toFixed(2)} s: ${
    rate >= 100 ? Math.round(rate) : rate
  } msgs/s${ratio}, ${megabytesPerSecond} MB/s`;
}

function renderRatio(ratio: number | undefined): string {
  return ratio === undefined ? "" : ` (x${ratio.toFixed(2)})`;
}

/** Renders microseconds in a suitable unit. */
function renderTime(us: number): string {
  if (us < 1000) return `${us >= 100 ? Math.round(us) : us} µs`;
  if (us < 1e6) return `${Number((us / 1000).toPrecision(3))} ms`;
  return `${Number((us / 1e6).toPrecision(3))} s`;
}
