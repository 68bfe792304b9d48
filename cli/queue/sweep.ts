/** Moves, deletes and counts messages: in place where the broker can, which is our own. */
import type { AmqpConnection } from "../../lib/amqp/client/connection.ts";
import { sweepQueue } from "../../lib/amqp/client/peek.ts";
import type { SweepReport } from "../../lib/amqp/peek.ts";
import { flag, group } from "../app/command.ts";
import { EXIT, StoppedError } from "../app/errors.ts";
import { Progress } from "../app/progress.ts";
import { phrase } from "../app/reporter.ts";
import type { Session } from "../app/session.ts";
import { messages } from "../app/tally.ts";
import { filterOf, requireForce, type WhereValues } from "../options/where.ts";
import type { RecordStyle } from "../records/writer.ts";
import { borrow } from "./borrow.ts";
import { requireQueue } from "./existence.ts";
import { placesText, stayText } from "./places.ts";
import { look } from "./look.ts";
import { type BrokerTarget, withConnection } from "./target.ts";

/** The number of messages that `--dry-run` shows. */
const SAMPLE = 3;
const SAMPLE_STYLE: RecordStyle = { framing: "json", hasTopic: false };
/** How long `--dry-run` waits for messages that the broker holds back, in milliseconds. */
const TIMEOUT_MS = 5000;

/** The option to try a command that changes queues. */
export const dryRun = group("Delivery", {
  dryRun: flag("--dry-run", `change nothing: count the messages and show the first ${SAMPLE} as JSON`),
});

/** The values of the options that select messages. */
export interface SweepValues extends WhereValues {
  readonly count: number | undefined;
  readonly timeout: number | undefined;
}

/** What happens to the messages: `moved … to 'jobs'`. */
export interface SweepTask {
  readonly action: "move" | "delete" | "redrive";
  /** The past participle, `moved`. */
  readonly done: string;
  /** The target queue of `move`; of `redrive`: instead of those where the messages died. */
  readonly to?: string | undefined;
  /** Whether a missing target queue is created. */
  readonly declare?: boolean | undefined;
}

/**
 * Moves, deletes or redrives messages in place.
 *
 * @returns false when the broker cannot; then nothing has happened
 */
export async function sweepInPlace(
  session: Session,
  target: BrokerTarget,
  queue: string,
  task: SweepTask,
  values: SweepValues,
): Promise<boolean> {
  let isDone = false;
  await filterOf(values); // A mistake is reported here, with its place.
  await withConnection(target, async (connection) => {
    if (!connection.sweeps) return;
    isDone = true;
    await requireQueue(connection, queue);
    if (task.to !== undefined) await requireQueue(connection, task.to, task.declare ?? false);
    await sweep(session, connection, queue, task, values);
  }, { timeout: values.timeout });
  return isDone;
}

async function sweep(
  session: Session,
  connection: AmqpConnection,
  queue: string,
  { action, done, to }: SweepTask,
  { where, count }: SweepValues,
): Promise<void> {
  let report: SweepReport = { tested: 0, matched: 0, bytes: 0, untestable: 0 };
  session.onStop(() => connection.abort());
  const progress = new Progress(session, () => report.matched, done);
  let failure: unknown;
  try {
    report = await sweepQueue(connection, queue, {
      action,
      to,
      where,
      limit: count,
      onReport: (latest) => report = latest,
    });
  } catch (error) {
    const known = `at least ${messages(report.matched)} ${done}, and the rest is where it was: run it again`;
    failure = session.stopping ? new StoppedError(known) : new Error(`${phrase(error)} (${known})`);
  } finally {
    progress.end();
  }
  tally(session, action, report);
  const { matched, targets = {}, kept = {} } = report;
  const keptCount = Object.values(kept).reduce((sum, count) => sum + count, 0);
  if (action === "redrive" && failure === undefined && report.tested === 0) {
    return session.reporter.info(`'${queue}' is empty`);
  }
  if (matched > 0 || failure === undefined && keptCount === 0) {
    const places = to === undefined ? placesText(Object.entries(targets)) : ` to '${to}'`;
    session.reporter.info(`${done} ${matched} from '${queue}'${places}`);
  }
  reportUntestable(session, report, queue);
  if (keptCount > 0) {
    session.reporter.error(stayText(keptCount, queue, Object.entries(kept)));
    session.exitCode = EXIT.undelivered;
  }
  if (report.failure !== undefined) {
    session.reporter.error(
      `the broker refused a message, and the rest stays in '${queue}': ${report.failure}`,
    );
    session.exitCode = EXIT.undelivered;
  }
  if (failure !== undefined) throw failure;
}

function tally({ counts }: Session, action: SweepTask["action"], { matched, bytes }: SweepReport): void {
  counts.received = matched;
  counts.bytes = bytes;
  if (action !== "delete") counts.sent = counts.confirmed = matched;
  else counts.dropped = matched;
}

/** Reports messages whose content is too large for the filter. They stay where they are. */
function reportUntestable(session: Session, { untestable }: SweepReport, queue: string): void {
  if (untestable === 0) return;
  session.reporter.error(
    `left ${messages(untestable)} in '${queue}' untested: a body is larger than 1 MiB, the limit of ` +
      "filters by content (--where 'size <= 1M and …' leaves them out)",
  );
  session.exitCode ||= EXIT.undelivered;
}

/** Reports the messages that a peek left out because their content is too large for its filter. */
export async function reportUntested(
  session: Session,
  connection: AmqpConnection,
  queue: string,
  where: string,
  count: number,
): Promise<void> {
  const report = await sweepQueue(connection, queue, { action: "count", where, limit: count });
  reportUntestable(session, report, queue);
}

/** Checks the target queue of a rehearsal. @throws {AmqpError} it does not exist, and the command would not create it */
export async function checkQueue(
  target: BrokerTarget,
  queue: string,
  timeout: number | undefined,
): Promise<void> {
  await withConnection(target, async (connection) => void await requireQueue(connection, queue, false), {
    timeout,
  });
}

/**
 * Counts the messages that a command would change, and shows the first ones on stdout.
 *
 * @param would what it would do, `move to 'jobs'`
 */
export async function rehearse(
  session: Session,
  target: BrokerTarget,
  queue: string,
  would: string,
  values: SweepValues,
): Promise<void> {
  const filter = await filterOf(values);
  const { where, count = Infinity } = values;
  let report: SweepReport | undefined;
  let ready = 0;
  await withConnection(target, async (connection, broker) => {
    ready = (await requireQueue(connection, queue)).messageCount;
    if (!connection.sweeps) return;
    report = await sweepQueue(connection, queue, { action: "count", where, limit: values.count });
    const sample = Math.min(SAMPLE, report.matched);
    if (sample > 0) {
      await look(session, connection, broker, { queue, style: SAMPLE_STYLE, count: sample, where });
    }
  }, { timeout: values.timeout });
  if (report === undefined) {
    if (filter === undefined && !values.force) {
      const known = Math.min(ready, count);
      session.counts.received = known;
      return session.reporter.info(
        `would ${would}: ${
          messages(known)
        } (this broker cannot show them without a delivery; --force does it)`,
      );
    }
    requireForce(values, queue);
    const { timeout = TIMEOUT_MS } = values;
    await borrow(session, target, queue, SAMPLE_STYLE, { count, shown: SAMPLE, timeout, filter });
  } else {
    session.counts.received = report.matched;
    session.counts.bytes = report.bytes;
    reportUntestable(session, report, queue);
  }
  session.reporter.info(
    `would ${would}: ${messages(session.counts.received)}, ${session.counts.bytes} bytes`,
  );
}
