import type { Rewrite } from "../../regex/pattern.ts";
import type { BrokerSystem } from "../address.ts";
import type { Envelope } from "../contract.ts";
import type { Readdress } from "./addressing.ts";
import { hasProperties, headerOf, withHeader, withoutHeaders } from "./headers.ts";

/** The source of messages. */
export interface BridgeSource {
  readonly system: BrokerSystem | "zmq";
  /** Whether it is a queue: then a message from the default exchange has no topic, as its routing key is a queue's name. */
  readonly isQueue: boolean;
}

/** The destination of messages. */
export interface BridgeSink {
  readonly system: BrokerSystem | "zmq";
  /** The exchange in AMQP; empty elsewhere. */
  readonly exchange: string;
  /** The routing key, topic or destination of all messages; undefined: each message goes to its topic. */
  readonly name: string | undefined;
  /** What precedes the topic in a destination of STOMP, `/topic/`. Default: nothing */
  readonly prefix?: string;
}

/** What has no place at the other side. */
export type Loss = "properties";

/** The header with the topic of a message that is in a queue, in the form of a routing key. */
const TOPIC = "x-topic";
/** Headers for the original exchange, which would now send copies to other queues. */
const COPIES: readonly string[] = ["CC", "BCC"];

/** Addresses each message to one queue of AMQP, with its properties unchanged except for CC and BCC. */
export function toQueue(queue: string): Readdress {
  return ({ properties }) => ({
    exchange: "",
    routingKey: queue,
    properties: withoutHeaders(properties, COPIES),
  });
}

/**
 * Returns how messages are readdressed from one system to another. A topic stays the topic: a routing key of AMQP or STOMP
 * becomes a topic of MQTT with `/` and `.` exchanged, as in RabbitMQ; ZeroMQ's topics are not changed. Where all messages
 * go to one name, such as a queue, the topic is kept in the header `x-topic`, from where it becomes the topic again.
 *
 * @param rewrites changes of topics, in the form of the sink; the first one that matches is applied
 * @param onLoss called once when something has no place at the sink
 */
export function readdress(
  source: BridgeSource,
  sink: BridgeSink,
  rewrites: readonly Rewrite[] = [],
  onLoss: (loss: Loss) => void = () => {},
): Readdress {
  const exchanges = source.system !== "zmq" && sink.system !== "zmq" &&
    (source.system === "mqtt") !== (sink.system === "mqtt");
  let reported = false;
  return (message) => {
    let { properties } = message;
    const stored = source.isQueue ? headerOf(properties, TOPIC) : undefined;
    let topic = typeof stored === "string" ? stored : topicOf(source, message);
    if (exchanges) topic = exchangeSeparators(topic);
    topic = rewrite(rewrites, topic);
    if (sink.system === "amqp") properties = withoutHeaders(properties, COPIES);
    if (sink.name !== undefined) {
      const key = sink.system === "mqtt" ? exchangeSeparators(topic) : topic;
      if (topic === "") properties = withoutHeaders(properties, [TOPIC]);
      else properties = withHeader(properties, TOPIC, key);
      return { exchange: sink.exchange, routingKey: sink.name, properties };
    }
    if (stored !== undefined) properties = withoutHeaders(properties, [TOPIC]);
    if (sink.system === "zmq" && !reported && hasProperties(properties)) {
      reported = true;
      onLoss("properties");
    }
    if (topic === "" && (sink.system === "mqtt" || sink.system === "stomp")) return "without a topic";
    return { exchange: sink.exchange, routingKey: (sink.prefix ?? "") + topic, properties };
  };
}

/** The topic of a message; empty if it has none. */
function topicOf({ system, isQueue }: BridgeSource, { exchange, routingKey }: Envelope): string {
  switch (system) {
    case "amqp":
      return isQueue && exchange === "" ? "" : routingKey;
    case "stomp":
      return /^\/(?:topic|exchange\/[^/]*)\/(.*)$/s.exec(routingKey)?.[1] ?? "";
    default:
      return routingKey;
  }
}

function rewrite(rewrites: readonly Rewrite[], topic: string): string {
  for (const rule of rewrites) {
    const changed = rule.apply(topic);
    if (changed !== undefined) return changed;
  }
  return topic;
}

/** Exchanges `/` and `.`: the levels of a topic of MQTT are the words of a routing key. */
function exchangeSeparators(text: string): string {
  return text.replace(/[/.]/g, (char) => char === "/" ? "." : "/");
}
