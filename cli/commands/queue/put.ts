import { Publisher } from "../../../lib/amqp/client/publisher.ts";
import { type BasicProperties, encodeProperties } from "../../../lib/amqp/properties.ts";
import examples from "../../cheats/queue-put.md" with { type: "text" };
import { command, group, list, option } from "../../app/command.ts";
import { UsageError } from "../../app/errors.ts";
import { text, word } from "../../app/values.ts";
import { Input } from "../../io/input.ts";
import { repeats } from "../../io/pacer.ts";
import { sourceOf } from "../../io/source.ts";
import { broker } from "../../options/broker.ts";
import { delivery, ending, input, pacing } from "../../options/options.ts";
import {
  declaring,
  refuseEmptyKeys,
  refuseEmptyNames,
  requireExchange,
  requireQueue,
} from "../../queue/existence.ts";
import { packPlain, packRecords, putAll } from "../../queue/put.ts";
import { parseProperty } from "../../queue/records.ts";
import { startWithin, targetOf } from "../../queue/target.ts";
import { framingOf, splitterFor } from "../../records/splitter.ts";

const envelope = group("Messages", {
  exchange: option("--exchange <name>", "publish to this exchange instead of a queue", word),
  topic: option("-t, --topic <key>", "the routing key, with --exchange", text),
  header: list(
    "-H, --header <name: value>",
    "add a header (repeats)",
    header,
    `-J can have other bytes: {"headers":{"NAME":{"$bytes":"BASE64"}}}`,
  ),
  property: list(
    "-P, --property <name: value>",
    "set a property, such as content_type (repeats)",
    parseProperty,
  ),
});

export default command({
  argument: ["[queue]", "the queue; it must exist, except in a directory (--data), where it is created"],
  options: {
    ...broker,
    ...input,
    // --data is the directory of the queue.
    data: { ...input.data, flags: "-D, --text <text>" },
    ...envelope,
    ...declaring,
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
    if (operands.length > 1) {
      throw new UsageError("messages are put into one queue (an exchange can fan them out)");
    }
    if (queue !== undefined && topic !== undefined) {
      throw new UsageError("-t is the routing key for --exchange; a queue is reached by its name");
    }
    refuseEmptyNames(operands);
    refuseEmptyKeys([topic]);
    if (values.declare && exchange !== undefined) {
      throw new UsageError("--declare creates a queue, and --exchange publishes to an exchange");
    }
    const properties: BasicProperties = { deliveryMode: 2, ...Object.fromEntries(values.property) };
    if (values.header.length > 0) properties.headers = Object.fromEntries(values.header);
    const isJson = framingOf("--in", values.in, values) === "json";
    const fixed = values.data.length + values.file.length > 0;
    const source = isJson && !fixed
      ? new Input(0, splitterFor("lines", {}))
      : sourceOf(values, repeats(values));
    const routingKey = queue ?? topic;
    const pack = isJson
      ? packRecords({ exchange: exchange ?? "", routingKey, properties }, queue !== undefined)
      : packPlain({
        exchange: exchange ?? "",
        routingKey: routingKey ?? "",
        properties: encodeProperties(properties),
      });
    const target = targetOf(session, values, true);
    const { brokers, link } = target;
    const publisher = new Publisher(brokers, {
      ...link,
      prepare: async (connection) => {
        if (queue === undefined) await requireExchange(connection, exchange!);
        // A spool must work at the first attempt.
        else await requireQueue(connection, queue, values.declare ?? values.folder !== undefined);
      },
    });
    await startWithin(target, values.timeout, publisher.start());
    await putAll(session, publisher, source, pack, values);
  },
});

function header(value: string): [name: string, value: string] {
  const match = /^([^:]+):\s*([^]*)$/.exec(value);
  if (match === null) throw new Error("expected 'name: value'");
  return [match[1]!.trim(), match[2]!];
}
