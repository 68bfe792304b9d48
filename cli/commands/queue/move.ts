import { toQueue } from "../../../lib/patterns/bridge/readdress.ts";
import examples from "../../cheats/queue-move.md" with { type: "text" };
import { command, group, option } from "../../app/command.ts";
import { UsageError } from "../../app/errors.ts";
import { word } from "../../app/values.ts";
import { broker } from "../../options/broker.ts";
import { declaring, prefetch } from "../../options/brokers.ts";
import { ending } from "../../options/options.ts";
import { selecting } from "../../options/where.ts";
import { refuseEmptyNames } from "../../queue/existence.ts";
import { moveAll } from "../../queue/move.ts";
import { dryRun, rehearse, sweepInPlace } from "../../queue/sweep.ts";
import { targetOf } from "../../queue/target.ts";

export default command({
  argument: ["<words...>", "FROM TO: two queues; both must exist"],
  options: {
    ...broker,
    ...selecting,
    ...group("Broker", { toUrl: option("--to-url <url>", "the broker of TO, when it is another one", word) }),
    ...ending,
    ...group("Queue", {
      declare: {
        ...group("Queue", declaring).declare,
        description: "create TO if it does not exist: durable",
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
    const [from, to] = operands;
    if (from === undefined || to === undefined || operands.length > 2) {
      throw new UsageError("expected two queues (try: mqcat queue move failed jobs)");
    }
    refuseEmptyNames(operands);
    if (from === to && values.toUrl === undefined) {
      throw new UsageError(`'${from}' cannot be moved to itself: it would never end`);
    }
    const source = targetOf(session, values);
    const target = values.toUrl === undefined
      ? source
      : targetOf(session, { ...values, url: values.toUrl, folder: undefined });
    if (values.dryRun) return await rehearse(session, source, from, `move from '${from}' to '${to}'`, values);
    const task = { action: "move", done: "moved", to, declare: values.declare } as const;
    if (target === source && await sweepInPlace(session, source, from, task, values)) return;
    await moveAll(
      session,
      { ...source, queue: from },
      { ...target, queue: to, readdress: toQueue(to) },
      values,
    );
  },
});
