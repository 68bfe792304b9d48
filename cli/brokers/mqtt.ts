/** The patterns on MQTT servers, as the commands need them. */
import { DEFAULT_MQTT_URL, formatMqtt, type MqttTarget, parseMqttUrl } from "../../lib/mqtt/client/url.ts";
import { isTopicName } from "../../lib/mqtt/topic.ts";
import type { LinkOptions } from "../../lib/link/options.ts";
import { shortName } from "../../lib/patterns/address.ts";
import { pull, subscribe } from "../../lib/patterns/mqtt/receive.ts";
import { reply } from "../../lib/patterns/mqtt/reply.ts";
import { request } from "../../lib/patterns/mqtt/request.ts";
import { publish, push, topicOf } from "../../lib/patterns/mqtt/send.ts";
import { UsageError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { type LoginValues, placeOf, reach, type Target } from "./link.ts";
import type { OriginValues, Patterns, SinkValues } from "./contract.ts";

/** What the patterns are on MQTT servers. */
export const patterns: Patterns = {
  publish(session, address, values) {
    const { to, link, ...target } = targetAt(session, address, values);
    const topic = publishedTopic(to, values);
    const outlet = publish(to, { ...link, qos: qosOf(values), retain: values.retain });
    return { ...target, outlet, destination: { exchange: "", topic } };
  },

  push(session, address, values) {
    const { to, link, ...target } = targetAt(session, address, values);
    return { ...target, outlet: push(to, link), destination: { exchange: "", queue: topicOf(to) } };
  },

  subscribe(session, address, values) {
    const { to, link, ...target } = targetAt(session, address, values);
    const options = { ...link, ...sessionOf(values), qos: qosOf(values), topics: values.topic };
    return {
      ...target,
      others: "drop",
      open: (events, prefetch) => subscribe(to, { ...options, ...events, prefetch }),
    };
  },

  pull(session, address, values) {
    if (values.where !== undefined) {
      throw new UsageError(
        "--where is not for pull over MQTT, where a message cannot be returned to the others of the group (sub has it)",
      );
    }
    const { to, link, ...target } = targetAt(session, address, values);
    const options = { ...link, ...sessionOf(values), qos: qosOf(values), group: values.group };
    return {
      ...target,
      others: "drop",
      open: (events, prefetch) => pull(to, { ...options, ...events, prefetch }),
    };
  },

  request(session, address, values) {
    if (values.topic !== undefined) {
      throw new UsageError(
        "-t is the routing key for --exchange; the address names the topic: mqtt://host/topic",
      );
    }
    const { to, link, ...target } = targetAt(session, address, values);
    return {
      ...target,
      destination: { exchange: "", queue: topicOf(to) },
      open: (options) => request(to, { ...link, ...options }),
    };
  },

  reply(session, address, values) {
    if (values.onError === "dead-letter") {
      throw new UsageError("--on-error dead-letter is for AMQP and STOMP: MQTT has no dead letters");
    }
    const { to, link, ...target } = targetAt(session, address, values);
    return {
      ...target,
      open: (events, prefetch) => reply(to, { ...link, ...events, group: values.group, prefetch }),
    };
  },
};

/** The servers and the topic of an address: `mqtt://host/topic`, or `mqtt:topic` at the broker in use. */
function targetAt(
  session: Session,
  address: string,
  values: LoginValues,
): Target & { readonly to: MqttTarget; readonly link: LinkOptions } {
  const short = shortName(address);
  const { url, login } = placeOf("mqtt", short === undefined ? address : undefined, DEFAULT_MQTT_URL, values);
  const { addresses, topic } = parseMqttUrl(url);
  const { brokers, ...target } = reach(session, "mqtt", addresses, formatMqtt, login);
  return {
    ...target,
    brokers,
    to: { addresses: brokers, topic: short === undefined ? topic : short || undefined },
  };
}

/** The topic of messages without one of their own. */
function publishedTopic(
  { topic }: MqttTarget,
  { topic: given, separator, json }: SinkValues,
): string | undefined {
  if (topic !== undefined && given !== undefined) {
    throw new UsageError(`the address names the topic '${topic}' already: remove it there, or remove -t`);
  }
  const own = topic ?? given;
  if (own !== undefined && !isTopicName(own)) {
    throw new UsageError(`'${own}' is not a topic to publish to: it is empty, or has wildcards (+ or #)`);
  }
  if (own === undefined && separator === undefined && !json) {
    throw new UsageError("the topic is missing: name it in the address, mqtt://host/topic, or with -t");
  }
  return own;
}

function sessionOf(
  { sessionExpiry, clientId }: OriginValues,
): Pick<OriginValues, "sessionExpiry" | "clientId"> {
  return { sessionExpiry, clientId };
}

function qosOf({ qos }: SinkValues | OriginValues): 0 | 1 | 2 | undefined {
  return qos === undefined ? undefined : Number(qos) as 0 | 1 | 2;
}
