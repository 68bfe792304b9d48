/** The benchmarks push-pull and pub-sub at the address of a broker. */
import { encodeProperties } from "../../lib/amqp/properties.ts";
import type { Session } from "../app/session.ts";
import type { OriginValues, SinkValues } from "../brokers/contract.ts";
import { patternsOf } from "../brokers/systems.ts";
import type { BrokerOperand } from "../options/systems.ts";
import type { BrokerSpec } from "./brokers.ts";
import type { Spec } from "./spec.ts";

/** The values of the options that the patterns look at. */
type Values = Pick<SinkValues, "passwordFile" | "cacert" | "cert" | "key" | "insecure"> & {
  readonly qos: SinkValues["qos"];
  readonly prefetch: number | undefined;
  readonly persistent: boolean | undefined;
};

/** The topic of messages when both sides are not in this process. */
const SHARED_TOPIC = "mqcat.bench";

/**
 * Senders and receivers by the patterns of a system: `clients` of each for push-pull, one publisher and `clients`
 * subscribers for pub-sub. Nothing is created but the queues of the subscribers.
 */
export async function addressSpec(
  session: Session,
  benchmark: "push-pull" | "pub-sub",
  { system, address }: BrokerOperand,
  spec: Spec,
  values: Values,
): Promise<BrokerSpec> {
  const patterns = await patternsOf(system);
  const publishes = benchmark === "pub-sub";
  const properties = encodeProperties({ deliveryMode: values.persistent ? 2 : 1 });
  const name = spec.role === "both" ? `${SHARED_TOPIC}.${crypto.randomUUID()}` : SHARED_TOPIC;
  const own = system === "mqtt" ? name.replaceAll(".", "/") : name;
  // The exchange of an AMQP address has topics; another address may name its topic.
  const topic = publishes && (system === "amqp" || isNameless(address)) ? own : undefined;
  const openSink = () => patterns[publishes ? "publish" : "push"](session, address, { ...values, topic });
  const from: OriginValues = { ...values, topic: topic === undefined ? undefined : [topic] };
  const origin = patterns[publishes ? "subscribe" : "pull"](session, address, from);
  return {
    ...spec,
    target: origin,
    endpoint: `${origin.where}, ${topic === undefined ? address.replace(/\/\/.*@/, "//") : `topic ${topic}`}`,
    senders: publishes ? 1 : spec.clients,
    receivers: spec.clients,
    copies: publishes ? spec.clients : 1,
    prefetch: values.prefetch,
    openOutlet() {
      const { outlet, destination } = openSink();
      const routingKey = destination.queue ?? destination.topic ?? topic ?? "";
      return { outlet, envelope: { exchange: destination.exchange, routingKey, properties } };
    },
    openInlet: (events, prefetch) => origin.open(events, prefetch),
  };
}

/** Whether an address has a host only: `mqtt://host`, `mqtt:`. */
function isNameless(address: string): boolean {
  return /^[a-z+]+:(\/\/[^/?]*\/?(\?.*)?)?$/i.test(address);
}
