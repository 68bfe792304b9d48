import examples from "../../cheats/queue-get.md" with { type: "text" };
import { command, group } from "../../app/command.ts";
import { getAll } from "../../brokers/get.ts";
import { checkTaking } from "../../brokers/receive.ts";
import { broker, leader } from "../../options/broker.ts";
import { consuming, declaring, prefetch, retries } from "../../options/brokers.ts";
import { ending, exec, output } from "../../options/options.ts";
import { selecting } from "../../options/where.ts";
import { checkNames } from "../../queue/existence.ts";
import { takeFrom } from "../../queue/patterns.ts";
import { targetOf } from "../../queue/target.ts";
import { styleOf } from "../../records/writer.ts";

export default command({
  argument: ["<queue>", "the queue to consume"],
  options: {
    ...broker,
    ...leader,
    ...selecting,
    ...output,
    ...ending,
    ...group("Delivery", { ...prefetch, ...consuming, ...retries, ...exec }),
    ...group("Queue", declaring),
  },
  examples,
  action({ session, values, operands }) {
    checkTaking(values);
    checkNames(operands);
    const style = styleOf(session, values, false);
    const target = targetOf(session, values, values.declare);
    return getAll(session, takeFrom(session, target, operands[0]!, values), style, values);
  },
});
