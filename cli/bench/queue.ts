/** The benchmark of one queue of an AMQP broker. */
import type { AmqpConnection } from "../../lib/amqp/client/connection.ts";
import { Consumer } from "../../lib/amqp/client/consumer.ts";
import { Publisher } from "../../lib/amqp/client/publisher.ts";
import { declareQueue } from "../../lib/amqp/client/queues.ts";
import { encodeProperties } from "../../lib/amqp/properties.ts";
import { formatBroker } from "../../lib/amqp/client/url.ts";
import { requireQueue } from "../queue/existence.ts";
import type { BrokerTarget } from "../queue/target.ts";
import type { BrokerSpec } from "./brokers.ts";
import type { Spec } from "./spec.ts";

/** What the benchmark of a queue needs beyond the load. */
export interface QueueSpec extends Spec {
  readonly target: BrokerTarget;
  /** An existing queue. Default: a queue that exists as long as the benchmark. */
  readonly queue: string | undefined;
  /** Whether the broker must write the messages to the disk. */
  readonly persistent: boolean;
  readonly prefetch: number | undefined;
}

/** Publishers with confirms, and consumers, as many as `clients` of each. */
export function queueSpec(spec: QueueSpec): BrokerSpec {
  const { role, target: { brokers, link }, queue: given, persistent, clients } = spec;
  const queue = given ?? `mqcat.bench.${crypto.randomUUID()}`;
  const properties = encodeProperties({ deliveryMode: persistent ? 2 : 1 });
  const envelope = { exchange: "", routingKey: queue, properties };
  const openOutlet = () => {
    const outlet = new Publisher(brokers, {
      ...link,
      prepare: async (connection) => {
        if (given !== undefined) await checkQueue(connection, queue, false);
      },
    });
    return { outlet, envelope };
  };
  return {
    ...spec,
    endpoint: `${formatBroker(brokers[0]!)}, queue ${queue}`,
    senders: clients,
    receivers: clients,
    copies: 1,
    openOutlet,
    openInlet: (events, prefetch) =>
      new Consumer(brokers, queue, {
        ...link,
        ...events,
        prefetch,
        prepare: async (connection) => {
          if (given === undefined) await createQueue(connection, queue);
          else await checkQueue(connection, queue, role === "both");
        },
      }),
  };
}

/** The queue of a run: deleted by the broker after its last consumer, also when this process is killed. */
async function createQueue(connection: AmqpConnection, queue: string): Promise<void> {
  await declareQueue(connection, queue, { durable: true, autoDelete: true });
}

/** @throws {Error} the queue does not exist, or has messages of others */
async function checkQueue(connection: AmqpConnection, queue: string, mustBeEmpty: boolean): Promise<void> {
  const { messageCount } = await requireQueue(connection, queue);
  if (!mustBeEmpty || messageCount === 0) return;
  throw new Error(
    `queue '${queue}' has ${messageCount} messages, and the benchmark would consume them: name an empty queue`,
  );
}
