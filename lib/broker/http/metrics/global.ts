/** The metrics `rabbitmq_global_…`, of all protocols together: RabbitMQ 3.10 counts MQTT and STOMP as AMQP 0-9-1, too. */
import { QueueStats } from "../../core/queue/queue_stats.ts";
import { SIZE_BOUNDS } from "../../core/size_histogram.ts";
import type { HttpHost } from "../host.ts";
import { channelsOf } from "../views.ts";
import type { Exposition, Metric } from "./exposition.ts";
import type { MeasuredNode } from "./families.ts";

const PROTOCOL = { protocol: "amqp091" };

const MESSAGES: readonly Metric<MeasuredNode>[] = [
  ["counter", "messages_received_total", "Total number of messages received from publishers", ({ stats }) => {
    return stats.published;
  }],
  [
    "counter",
    "messages_received_confirm_total",
    "Total number of messages received from publishers using confirms",
    ({ stats }) => stats.confirmable,
  ],
  [
    "counter",
    "messages_confirmed_total",
    "Total number of messages confirmed to publishers",
    ({ stats }) => stats.confirmed,
  ],
  [
    "counter",
    "messages_routed_total",
    "Total number of messages routed to queues",
    ({ stats }) => stats.routed,
  ],
  [
    "counter",
    "messages_unroutable_dropped_total",
    "Total number of messages published as non-mandatory into an exchange and dropped as unroutable",
    ({ stats }) => stats.unroutable,
  ],
  [
    "counter",
    "messages_unroutable_returned_total",
    "Total number of messages published as mandatory into an exchange and returned to the publisher as unroutable",
    ({ stats }) => stats.returned,
  ],
  ["gauge", "publishers", "Publishers currently connected", ({ broker }) => {
    return channels(broker).filter(({ stats }) => stats.published > 0).length;
  }],
  ["gauge", "consumers", "Consumers currently connected", ({ broker }) => {
    return channels(broker).reduce((sum, { consumers }) => sum + consumers.size, 0);
  }],
];

const QUEUES: readonly Metric<QueueStats>[] = [
  [
    "counter",
    "acknowledged",
    "Total number of messages acknowledged by consumers",
    (stats) => stats.acknowledged,
  ],
  ["counter", "delivered", "Total number of messages delivered to consumers", (stats) => {
    return stats.delivered + stats.deliveredNoAck + stats.got + stats.gotNoAck;
  }],
  [
    "counter",
    "delivered_consume_manual_ack",
    "Total number of messages delivered to consumers using basic.consume with manual acknowledgment",
    (stats) => stats.delivered,
  ],
  [
    "counter",
    "delivered_consume_auto_ack",
    "Total number of messages delivered to consumers using basic.consume with automatic acknowledgment",
    (stats) => stats.deliveredNoAck,
  ],
  [
    "counter",
    "delivered_get_manual_ack",
    "Total number of messages delivered to consumers using basic.get with manual acknowledgment",
    (stats) => stats.got,
  ],
  [
    "counter",
    "delivered_get_auto_ack",
    "Total number of messages delivered to consumers using basic.get with automatic acknowledgment",
    (stats) => stats.gotNoAck,
  ],
  [
    "counter",
    "get_empty",
    "Total number of times basic.get operations fetched no message",
    (stats) => stats.getEmpty,
  ],
  [
    "counter",
    "redelivered",
    "Total number of messages redelivered to consumers",
    (stats) => stats.redelivered,
  ],
];

/** Dropped messages. Their label `dead_letter_strategy` is missing: a policy can change it. */
const DROPPED: readonly Metric<QueueStats>[] = [
  [
    "counter",
    "maxlen",
    "Total number of messages dropped or dead-lettered due to overflow",
    (stats) => stats.overflowed,
  ],
  [
    "counter",
    "expired",
    "Total number of messages dropped or dead-lettered due to their TTL",
    (stats) => stats.expired,
  ],
  [
    "counter",
    "rejected",
    "Total number of messages dropped or dead-lettered due to a reject",
    (stats) => stats.rejected,
  ],
  [
    "counter",
    "delivery_limit",
    "Total number of messages dropped or dead-lettered due to the delivery limit",
    (stats) => stats.overDelivered,
  ],
];

export function addGlobal(text: Exposition, node: MeasuredNode): void {
  text.each("rabbitmq_global_", MESSAGES, [node], () => PROTOCOL);
  const types = [...statsByType(node.broker)];
  for (
    const [labels, prefix, metrics] of [[PROTOCOL, "", QUEUES], [{}, "dead_lettered_", DROPPED]] as const
  ) {
    for (const [type, name, help, value] of metrics) {
      text.add(
        type,
        `rabbitmq_global_messages_${prefix}${name}_total`,
        help,
        types.map(([queue_type, stats]) => [{ ...labels, queue_type }, value(stats)]),
      );
    }
  }
}

/** The sizes of published messages, as RabbitMQ has them since version 4.1. */
export function addSizes(text: Exposition, { core: { intake } }: HttpHost): void {
  const { counts, sum } = intake.sizes;
  const help = "Size of messages received from publishers";
  text.histogram("rabbitmq_message_size_bytes", help, PROTOCOL, SIZE_BOUNDS, counts, sum);
}

/** The counts of all queues by RabbitMQ's name of their type, also of those that were deleted. */
function statsByType({ core }: HttpHost): Map<string, QueueStats> {
  const sums = new Map(["classic", "quorum"].map((type) => [type, new QueueStats()]));
  for (const [type, stats] of core.counters.deletedQueues) sums.get(type)?.add(stats);
  for (const { queues } of core.vhosts.values()) {
    for (const { settings, stats } of queues.values()) sums.get(settings.type)?.add(stats);
  }
  return new Map([...sums].map(([type, stats]) => [`rabbit_${type}_queue`, stats]));
}

function channels({ connections }: HttpHost) {
  return [...connections].flatMap(channelsOf);
}
