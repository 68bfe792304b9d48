import { NO_PROPERTIES } from "../../amqp/properties.ts";
import { unplaced } from "../../crossing/unplaced.ts";
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
  /** The exchange of AMQP and STOMP; empty elsewhere. */
  readonly exchange: string;
  /** The queue or the topic for all messages; undefined: each message keeps its topic. */
  readonly name: string | undefined;
}

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
 * Returns how messages are readdressed from one system to another. A topic stays the topic: a routing key, as AMQP and
 * STOMP have it, becomes a topic of MQTT with `/` and `.` exchanged, as in RabbitMQ; ZeroMQ's topics are not changed. Where
 * all messages go to one name, such as a queue, the topic is kept in the header `x-topic`, and becomes the topic again
 * when the message leaves the queue.
 *
 * @param rewrites changes of topics, in the form of the sink; the first one that matches is applied
 * @param onLoss called once when properties and headers have no place at the sink, with their names
 */
export function readdress(
  source: BridgeSource,
  sink: BridgeSink,
  rewrites: readonly Rewrite[] = [],
  onLoss: (names: readonly string[]) => void = () => {},
): Readdress {
  const exchanges = source.system !== "zmq" && sink.system !== "zmq" &&
    (source.system === "mqtt") !== (sink.system === "mqtt");
  let isReported = false;
  const report = (names: readonly string[]) => {
    if (names.length === 0) return;
    isReported = true;
    onLoss(names);
  };
  return (message) => {
    let { properties } = message;
    const stored = source.isQueue ? headerOf(properties, TOPIC) : undefined;
    let topic = typeof stored === "string" ? stored : topicOf(source, message);
    if (exchanges) topic = exchangeSeparators(topic);
    topic = rewrite(rewrites, topic);
    if (sink.system === "zmq") {
      if (!isReported && hasProperties(withoutHeaders(properties, [TOPIC]))) {
        report(["headers and properties"]);
      }
      return { exchange: "", routingKey: topic, properties: NO_PROPERTIES };
    }
    if (!isReported && sink.system !== "amqp" && hasProperties(properties)) {
      report(unplaced(sink.system, properties));
    }
    properties = withoutHeaders(properties, COPIES);
    if (sink.name === undefined) {
      if (topic === "" && sink.system === "mqtt") return "without a topic";
      if (stored !== undefined) properties = withoutHeaders(properties, [TOPIC]);
      return { exchange: sink.exchange, routingKey: topic, properties };
    }
    // In the form of a routing key, whatever the sink is.
    const key = exchanges && sink.system === "mqtt" ? exchangeSeparators(topic) : topic;
    properties = topic === "" ? withoutHeaders(properties, [TOPIC]) : withHeader(properties, TOPIC, key);
    return { exchange: sink.exchange, routingKey: sink.name, properties };
  };
}

/** The topic of a message; empty if it has none. */
function topicOf({ isQueue }: BridgeSource, { exchange, routingKey }: Envelope): string {
  return isQueue && exchange === "" ? "" : routingKey;
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
