import { Pub } from "../../lib/zmq/types/pub.ts";
import examples from "../cheats/pub.md" with { type: "text" };
import { command, group, option } from "../app/command.ts";
import { separator, text } from "../app/values.ts";
import { asked, spreading } from "../options/broker.ts";
import { envelope, quality, retention, routing } from "../options/brokers.ts";
import { brokerContext } from "../options/context.ts";
import { brokerOperand } from "../options/systems.ts";
import { publish, publishing } from "../zmq/publish.ts";

const TOPIC_BYTES = "topic_base64 in the records of -J can be other bytes";
const topics = group("Messages", {
  topic: option(
    "-t, --topic <topic>",
    "send this as a first frame before each body; at a broker: the routing key, or the topic",
    text,
    TOPIC_BYTES,
  ),
  separator: option(
    "-K, --key-separator <text>",
    "the separator of topic and body in each line; -t is the topic of lines without it",
    separator,
    TOPIC_BYTES,
  ),
});

export default command({
  argument: [
    "[endpoint...]",
    "where to listen; > in front connects; or the exchange or topic of a broker: amqp://host//exchange, amqp:exchange, mqtt:topic",
  ],
  addresses: { names: "exchanges" },
  options: {
    ...publishing,
    ...topics,
    ...envelope,
    ...routing,
    ...quality,
    ...retention,
    ...asked,
    ...spreading,
    ...brokerContext,
  },
  examples,
  async action(invocation) {
    const { session, values, operands } = invocation;
    const broker = brokerOperand(session.command, values, operands);
    if (broker !== undefined) {
      const { send } = await import("../brokers/send.ts");
      return await send(session, "publish", broker, values);
    }
    await publish(invocation, invocation.values, (options) => new Pub(options));
  },
});
