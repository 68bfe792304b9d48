import { httpUrls } from "../../../lib/amqp/client/near_leader.ts";
import { MqcatError } from "../../../lib/errors.ts";
import examples from "../../cheats/queue-check.md" with { type: "text" };
import { command, group, option } from "../../app/command.ts";
import { EXIT, exitCodeOf, TimeoutError, UsageError } from "../../app/errors.ts";
import { phrase } from "../../app/reporter.ts";
import type { Session } from "../../app/session.ts";
import { duration, integer, oneOf } from "../../app/values.ts";
import { broker, http } from "../../options/broker.ts";
import { ending } from "../../options/options.ts";
import { checkBroker } from "../../queue/check/broker.ts";
import { format, FORMATS, NAGIOS } from "../../queue/check/formats.ts";
import { checkQueue, type QueueLimits, type QueueSource, subjectOf } from "../../queue/check/queue.ts";
import { type Report, statusOf } from "../../queue/check/report.ts";
import { checkNames } from "../../queue/existence.ts";
import { type BrokerValues, targetOf, withConnection } from "../../queue/target.ts";
import { print } from "./print.ts";

/** The default of `-w`, in milliseconds. */
const TIMEOUT_MS = 10_000;

export default command({
  argument: ["[queue]", "the queue to check; without it, the nodes and all queues of the broker"],
  options: {
    ...broker,
    ...http,
    ...group("Limits", {
      maxReady: option("--max-ready <number>", "critical if more messages are ready", integer(0)),
      minConsumers: option("--min-consumers <number>", "critical if there are fewer consumers", integer(0)),
      maxAge: option("--max-age <duration>", "critical if the oldest message is older, such as 5m", duration),
    }),
    ...group("Timing", {
      timeout: {
        ...ending.timeout,
        description: "give up (exit 3) when the broker does not answer for this long (default: 10s)",
      },
    }),
    ...group("Output", {
      output: option(
        "--output <format>",
        "format of the result: text, json, nagios (with its exit codes) or prometheus (default: text)",
        oneOf(...FORMATS),
      ),
    }),
  },
  examples,
  async action({ session, values, operands: [queue] }): Promise<number | void> {
    const { output = "text" } = values;
    try {
      const report = await examine(session, queue, values);
      await print(session, format(report, output));
      if (output === "nagios") return NAGIOS[statusOf(report)];
      session.exitCode = statusOf(report) === "ok" ? EXIT.done : EXIT.failure;
    } catch (error) {
      if (output === "text" || session.stopping) throw error;
      const finding = { severity: severityOf(error), text: phrase(error) };
      const about = queue === undefined ? { subject: "broker", labels: {} } : subjectOf(queue);
      await print(session, format({ ...about, summary: "", findings: [finding], figures: [] }, output));
      if (output === "nagios") return NAGIOS[finding.severity];
      session.exitCode = exitCodeOf(error);
    }
  },
});

type CheckValues = BrokerValues & QueueLimits;

async function examine(session: Session, queue: string | undefined, values: CheckValues): Promise<Report> {
  const { maxReady, minConsumers, maxAge, timeout = TIMEOUT_MS } = values;
  if (queue !== undefined) checkNames([queue]);
  else if ([maxReady, minConsumers, maxAge].some((limit) => limit !== undefined)) {
    throw new UsageError("--max-ready, --min-consumers and --max-age are for one queue: name it");
  }
  const target = targetOf(session, values);
  const { http } = target.link;
  let report: Report | undefined;
  await withConnection(target, async (connection) => {
    const source: QueueSource = {
      connection,
      broker: target.brokers[0]!,
      http: http ?? (connection.peeks ? [] : httpUrls(target.brokers, target.link)),
      isHttpGiven: http !== undefined,
      limit: timeout,
    };
    report = queue === undefined ? await checkBroker(source) : await checkQueue(source, queue, values);
  }, { timeout });
  return report!;
}

/** What an error means for the check: without an answer the broker is down, and all else leaves its state unknown. */
function severityOf(error: unknown): "critical" | "unknown" {
  if (error instanceof TimeoutError) return "critical";
  if (!(error instanceof MqcatError) || error.code === "ERR_HTTP_API") return "unknown";
  return exitCodeOf(error) === EXIT.refused && error.code !== "ERR_AUTH" ? "critical" : "unknown";
}
