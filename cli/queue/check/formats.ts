/** The formats of a check's report. */
import { type Figure, type Report, type Severity, statusOf, wordsOf } from "./report.ts";

/** The formats of `--output`. */
export const FORMATS = ["text", "json", "nagios", "prometheus"] as const;
export type Format = typeof FORMATS[number];

/** The exit codes of Nagios' plug-ins, which are also the values of `mqcat_check_status`. */
export const NAGIOS: Readonly<Record<Severity, number>> = { ok: 0, warning: 1, critical: 2, unknown: 3 };

/** Formats a report. One line, but for Prometheus. */
export function format(report: Report, as: Format): string[] {
  switch (as) {
    case "text":
      return [`${statusOf(report)}: ${report.subject}: ${wordsOf(report)}`];
    case "json":
      return [JSON.stringify(jsonOf(report))];
    case "nagios":
      return [nagiosLine(report)];
    case "prometheus":
      return metricsOf(report);
  }
}

function jsonOf(report: Report): Record<string, unknown> {
  return {
    status: statusOf(report),
    ...report.labels,
    text: wordsOf(report),
    ...Object.fromEntries(report.figures.map(({ name, value }) => [name, value])),
    findings: report.findings,
  };
}

/** `MQCAT OK - queue 'jobs': 3 ready | messages_ready=3;;1000`: the text may have no vertical bar. */
function nagiosLine(report: Report): string {
  const text = `MQCAT ${statusOf(report).toUpperCase()} - ${report.subject}: ${wordsOf(report)}`;
  const data = report.figures.map(({ name, value, min, max }) => {
    // Outside of the range is critical: `1:` is less than 1, `1000` is more than 1000 (or less than 0).
    const range = max === undefined ? (min === undefined ? "" : `${min}:`) : `${max}`;
    return `${name}=${value}${name.endsWith("_seconds") ? "s" : ""}${range === "" ? "" : `;;${range}`}`;
  });
  return text.replaceAll("|", "¦") + (data.length === 0 ? "" : ` | ${data.join(" ")}`);
}

/** The text format of Prometheus, for the textfile collector of its node exporter. */
function metricsOf(report: Report): string[] {
  const labels = Object.entries(report.labels)
    .map(([name, value]) => `${name}="${value.replaceAll(/[\\"]/g, "\\$&").replaceAll("\n", "\\n")}"`);
  const at = labels.length === 0 ? "" : `{${labels.join(",")}}`;
  const status: Figure = { name: "status", value: NAGIOS[statusOf(report)] };
  return [status, ...report.figures].flatMap(({ name, value }) => [
    `# HELP mqcat_check_${name} ${HELP[name] ?? "A figure of mqcat queue check."}`,
    `# TYPE mqcat_check_${name} gauge`,
    `mqcat_check_${name}${at} ${value}`,
  ]);
}

const HELP: Readonly<Record<string, string>> = {
  status: "The status: 0 ok, 1 warning, 2 critical, 3 unknown.",
  messages_ready: "Messages that are ready for delivery.",
  consumers: "Consumers of the queue.",
  members: "Nodes that have a copy of the queue.",
  members_online: "Those that are up.",
  oldest_message_age_seconds: "How long the oldest message has been in the queue.",
  nodes: "Nodes of the cluster.",
  nodes_down: "Those that are not up.",
  alarms: "Memory and disk alarms, and blocked nodes.",
  partitions: "Nodes that have lost the connection to others.",
  queues: "Queues of all virtual hosts.",
  queues_down: "Those that are not available.",
  queues_at_risk: "Those that the loss of one more node would make unavailable.",
};
