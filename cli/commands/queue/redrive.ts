import { countReady } from "../../../lib/amqp/client/queues.ts";
import examples from "../../cheats/queue-redrive.md" with { type: "text" };
import { command, group, option } from "../../app/command.ts";
import { UsageError } from "../../app/errors.ts";
import { word } from "../../app/values.ts";
import { broker, leader } from "../../options/broker.ts";
import { declaring, prefetch } from "../../options/brokers.ts";
import { ending } from "../../options/options.ts";
import { revived } from "../../queue/dead_letters.ts";
import { selecting } from "../../options/where.ts";
import { checkNames, requireQueue } from "../../queue/existence.ts";
import { moveAll } from "../../queue/move.ts";
import { checkQueue, dryRun, rehearse, sweepInPlace } from "../../queue/sweep.ts";
import { near, targetOf, withConnection } from "../../queue/target.ts";

export default command({
  argument: [
    "<queue>",
    "the queue of dead letters; each returns to the queue where it was rejected or expired",
  ],
  options: {
    ...broker,
    ...leader,
    ...selecting,
    ...ending,
    ...dryRun,
    ...group("Queue", {
      declare: {
        ...group("Queue", declaring).declare,
        description: "create the queue of --to if it does not exist: durable",
      },
    }),
    ...group("Delivery", {
      to: option("--to <queue>", "send all messages to this queue instead", word),
      prefetch: {
        ...group("Delivery", prefetch).prefetch,
        description: "number of messages in flight (default: 1000)",
      },
    }),
  },
  examples,
  async action({ session, values, operands }) {
    const [from = ""] = operands;
    if (values.declare && values.to === undefined) {
      throw new UsageError("--declare needs --to: it creates that queue");
    }
    checkNames(operands);
    if (from === values.to) throw new UsageError(`'${from}' cannot be moved to itself: it would never end`);
    const target = targetOf(session, values);
    if (values.dryRun) {
      if (values.to !== undefined && !values.declare) await checkQueue(target, values.to, values.timeout);
      const where = values.to === undefined
        ? "to the queues where they died, if their headers name these"
        : `to '${values.to}'`;
      return await rehearse(session, target, from, `return from '${from}' ${where}`, values);
    }
    const task = { action: "redrive", done: "moved", to: values.to, declare: values.declare } as const;
    if (await sweepInPlace(session, target, from, task, values)) return;
    let there = 0;
    await withConnection(near(target, from), async (connection) => {
      await requireQueue(connection, from);
      there = await countReady(connection, from) ?? 0;
    }, { timeout: values.timeout });
    if (there === 0) return session.reporter.info(`'${from}' is empty`);
    const to = { ...target, queue: values.to, readdress: revived(from, values.to) };
    // Without a limit, messages that are dead-lettered again at once would loop forever.
    await moveAll(session, { ...target, queue: from }, to, { ...values, present: there });
  },
});
