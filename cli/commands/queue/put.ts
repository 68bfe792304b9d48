import examples from "../../cheats/queue-put.md" with { type: "text" };
import { command, group, option } from "../../app/command.ts";
import { UsageError } from "../../app/errors.ts";
import { text, word } from "../../app/values.ts";
import { sendTo } from "../../brokers/send.ts";
import { broker, leader } from "../../options/broker.ts";
import { declaring, envelope } from "../../options/brokers.ts";
import { delivery, ending, input, pacing } from "../../options/options.ts";
import { checkNames, refuseEmptyKeys } from "../../queue/existence.ts";
import { publishTo, putInto } from "../../queue/patterns.ts";
import { framingOf } from "../../records/splitter.ts";
import { targetOf } from "../../queue/target.ts";

export default command({
  argument: ["[queue]", "the queue; it must exist, except in a directory (--data), where it is created"],
  options: {
    ...broker,
    ...leader,
    ...input,
    // --data is the directory of the queue, and was never the text.
    data: { ...input.data, formerly: undefined },
    ...group("Messages", {
      exchange: option("--exchange <exchange>", "publish to this exchange instead of a queue", word),
      topic: option("-t, --topic <key>", "the routing key, with --exchange", text),
      ...envelope,
    }),
    ...group("Queue", {
      ...declaring,
      publisherId: option(
        "--publisher-id <id>",
        "store each line of this publisher in a stream once, even if the same input is put again (RabbitMQ)",
        word,
      ),
    }),
    ...ending,
    ...pacing,
    ...group("Delivery", { linger: delivery.linger }),
  },
  examples,
  async action({ session, values, operands }) {
    const [queue] = operands;
    const { exchange, topic } = values;
    if ((queue === undefined) === (exchange === undefined)) {
      throw new UsageError("name either a queue or an exchange (try: mqcat queue put jobs)");
    }
    if (queue !== undefined && topic !== undefined) {
      throw new UsageError("-t is the routing key for --exchange; a queue is reached by its name");
    }
    checkNames(operands);
    refuseEmptyKeys([topic]);
    if (values.declare && exchange !== undefined) {
      throw new UsageError("--declare creates a queue, and --exchange publishes to an exchange");
    }
    const { publisherId } = values;
    if (publisherId !== undefined) {
      refuseOutOfPlace({
        "--data": values.folder !== undefined,
        "--declare": values.declare ?? false,
        "--exchange": queue === undefined,
        "-H": values.header.length > 0,
        "-P": values.property.length > 0,
        "-J": framingOf("--in", values.in, values) === "json",
      });
      const { putOnce } = await import("../../queue/deduplicate.ts");
      const target = targetOf(session, values);
      const sink = await putOnce(session, target, queue!, publisherId, values.timeout);
      return await sendTo(session, sink, values);
    }
    const target = targetOf(session, values, true);
    const sink = queue === undefined
      ? publishTo(target, exchange!, topic, true)
      // A spool must work at the first attempt.
      : putInto(target, queue, values.declare ?? values.folder !== undefined);
    await sendTo(session, sink, values);
  },
});

/** A deduplicating publisher stores bodies in an existing stream. */
function refuseOutOfPlace(given: Readonly<Record<string, boolean>>): void {
  const option = Object.keys(given).find((name) => given[name]);
  if (option === undefined) return;
  throw new UsageError(
    `--publisher-id stores lines in a stream that exists, without properties: leave ${option} out`,
  );
}
