import { toQueue } from "../../../lib/patterns/bridge/readdress.ts";
import examples from "../../cheats/queue-move.md" with { type: "text" };
import { command, flag, group, option } from "../../app/command.ts";
import { UsageError } from "../../app/errors.ts";
import { word } from "../../app/values.ts";
import { broker, leader } from "../../options/broker.ts";
import { declaring, prefetch } from "../../options/brokers.ts";
import { ending } from "../../options/options.ts";
import { selecting } from "../../options/where.ts";
import { checkNames } from "../../queue/existence.ts";
import { moveAll } from "../../queue/move.ts";
import { checkQueue, dryRun, rehearse, sweepInPlace } from "../../queue/sweep.ts";
import { shareBroker, targetsOf } from "../../queue/two_brokers.ts";

export default command({
  argument: ["<queue> <queue>", "from the first queue to the second; both must exist"],
  options: {
    ...broker,
    ...leader,
    ...selecting,
    ...group("Broker", {
      toUrl: option("--to-url <url>", "the broker of the second queue, if it is another one", word),
      toPasswordFile: option(
        "--to-password-file <path>",
        "read the password of --to-url from this file (default: $MQCAT_TO_PASSWORD)",
        word,
      ),
    }),
    ...ending,
    ...group("Timing", {
      follow: flag(
        "--follow",
        "move messages as they arrive: do not end when the first queue is empty or the second one is full",
      ),
    }),
    ...group("Queue", {
      declare: {
        ...group("Queue", declaring).declare,
        description: "create the second queue if it does not exist: durable",
      },
    }),
    ...dryRun,
    ...group("Delivery", {
      prefetch: {
        ...group("Delivery", prefetch).prefetch,
        description: "number of messages in flight (default: 1000)",
      },
    }),
  },
  examples,
  async action({ session, values, operands }) {
    const [from = "", to = ""] = operands;
    checkNames(operands);
    const { source, target } = targetsOf(session, values);
    if (from === to && shareBroker(source, target)) {
      throw new UsageError(`'${from}' cannot be moved to itself: it would never end`);
    }
    if (values.dryRun) {
      if (!values.declare) await checkQueue(target, to, values.timeout);
      return await rehearse(session, source, from, `move from '${from}' to '${to}'`, values);
    }
    const isInPlace = target === source && !values.follow;
    const task = { action: "move", done: "moved", to, declare: values.declare } as const;
    if (isInPlace && await sweepInPlace(session, source, from, task, values)) return;
    await moveAll(
      session,
      { ...source, queue: from },
      { ...target, queue: to, readdress: toQueue(to) },
      values,
    );
  },
});
