import { toQueue } from "../../../lib/patterns/bridge/readdress.ts";
import examples from "../../cheats/queue-move.md" with { type: "text" };
import { command, group, option } from "../../app/command.ts";
import { UsageError } from "../../app/errors.ts";
import { word } from "../../app/values.ts";
import { broker, leader } from "../../options/broker.ts";
import { declaring, prefetch } from "../../options/brokers.ts";
import { ending } from "../../options/options.ts";
import { refuseEmptyNames } from "../../queue/existence.ts";
import { moveAll } from "../../queue/move.ts";
import { type BrokerTarget, targetOf } from "../../queue/target.ts";

export default command({
  argument: ["<queue> <queue>", "from the first queue to the second; both must exist"],
  options: {
    ...broker,
    ...leader,
    ...group("Broker", {
      toUrl: option("--to-url <url>", "the broker of the second queue, when it is another one", word),
    }),
    ...ending,
    ...group("Queue", {
      declare: {
        ...group("Queue", declaring).declare,
        description: "create the second queue if it does not exist: durable",
      },
    }),
    ...group("Delivery", {
      prefetch: {
        ...group("Delivery", prefetch).prefetch,
        description: "number of messages in flight (default: 1000)",
      },
    }),
  },
  examples,
  action({ session, values, operands }) {
    const [from = "", to = ""] = operands;
    refuseEmptyNames(operands);
    if (from === to && values.toUrl === undefined) {
      throw new UsageError(`'${from}' cannot be moved to itself: it would never end`);
    }
    const source = targetOf(session, values);
    const target = values.toUrl === undefined
      ? source
      : elsewhere(targetOf(session, { ...values, url: values.toUrl, folder: undefined, http: undefined }));
    return moveAll(
      session,
      { ...source, queue: from },
      { ...target, queue: to, readdress: toQueue(to) },
      values,
    );
  },
});

/** The HTTP API in the options and the environment is that of the source. */
function elsewhere(target: BrokerTarget): BrokerTarget {
  return { ...target, link: { ...target.link, http: undefined } };
}
