/** Publish and push on MQTT servers. */
import { EndpointError } from "../../errors.ts";
import type { LinkOptions } from "../../link/options.ts";
import { MqttPublisher } from "../../mqtt/client/publisher.ts";
import type { SessionOptions } from "../../mqtt/client/session.ts";
import type { MqttTarget } from "../../mqtt/client/url.ts";
import { isTopicName } from "../../mqtt/topic.ts";
import type { Outlet } from "../contract.ts";
import { AmqpMapping } from "./mapping.ts";

/** Options of the client, for all patterns. */
export type MqttOptions = LinkOptions & Pick<SessionOptions, "clientId" | "keepAlive" | "version">;

/** Options of `publish`. */
export type PublishOptions = MqttOptions & {
  /** 0: taken when written; 1: at least once; 2: exactly once while the publisher runs, in MQTT 5.0. Default: 1 */
  readonly qos?: 0 | 1 | 2 | undefined;
  /** Whether the server keeps the latest message of each topic for later subscribers. Default: false */
  readonly retain?: boolean | undefined;
  /**
   * Whether messages that the server took although no client subscribes to their topic are counted as `returned`. Only some
   * servers of MQTT 5.0 know it, and only for QoS 1 and 2. Default: false
   */
  readonly mandatory?: boolean | undefined;
};

/** Publishes to the topics that the envelopes name. */
export function publish({ addresses }: MqttTarget, options: PublishOptions = {}): Outlet {
  return new MqttPublisher(addresses, { ...options, mapping: new AmqpMapping() });
}

/**
 * Sends messages at least once, with QoS 1. The envelopes name the topic of the address: see `topicOf`.
 *
 * @throws {EndpointError} the address names no topic
 */
export function push(target: MqttTarget, options: MqttOptions = {}): Outlet {
  topicOf(target);
  return publish(target, { ...options, qos: 1 });
}

/** The topic that an address names. @throws {EndpointError} it names none, or a filter with wildcards */
export function topicOf({ topic }: MqttTarget): string {
  if (topic === undefined) throw new EndpointError("The address names no topic: mqtt://host/topic does");
  if (isTopicName(topic)) return topic;
  throw new EndpointError(`The address names no topic: '${topic}' is a filter, as it has wildcards (+ or #)`);
}
