import examples from "../../cheats/queue-delete-messages.md" with { type: "text" };
import { command } from "../../app/command.ts";
import { UsageError } from "../../app/errors.ts";
import { getAll } from "../../brokers/get.ts";
import { broker } from "../../options/broker.ts";
import { ending } from "../../options/options.ts";
import { selecting } from "../../options/where.ts";
import { checkNames } from "../../queue/existence.ts";
import { takeFrom } from "../../queue/patterns.ts";
import { dryRun, rehearse, sweepInPlace } from "../../queue/sweep.ts";
import { targetOf } from "../../queue/target.ts";

export default command({
  argument: ["<queue>", "the queue; only its ready messages are deleted"],
  options: { ...broker, ...selecting, ...ending, ...dryRun },
  examples,
  async action({ session, values, operands }) {
    const [queue = ""] = operands;
    checkNames(operands);
    if (values.where === undefined && values.count === undefined) {
      throw new UsageError(
        "say which messages: --where FILTER, or -n for the first ones (queue purge deletes all)",
      );
    }
    const target = targetOf(session, values);
    if (values.dryRun) return await rehearse(session, target, queue, `delete from '${queue}'`, values);
    const task = { action: "delete", done: "deleted" } as const;
    if (await sweepInPlace(session, target, queue, task, values)) return;
    const options = { ...values, drain: true, exec: undefined, jobs: undefined };
    await getAll(session, takeFrom(session, target, queue, options), undefined, options);
    const { counts, reporter } = session;
    counts.dropped = counts.received;
    reporter.info(`deleted ${counts.received} from '${queue}'`);
  },
});
