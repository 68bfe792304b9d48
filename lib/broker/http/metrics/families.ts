/** The families of metrics, with RabbitMQ's names. Of each family, `/metrics` has the sums. */
import process from "node:process";
import type { MessageStats, VirtualHostStats } from "../../core/message_stats.ts";
import type { Queue } from "../../core/queue/queue.ts";
import type { ClientChannel, ClientConnection } from "../../protocol.ts";
import type { HttpHost } from "../host.ts";
import { resourcesOf } from "../resources.ts";
import { channelsOf, memoryOf } from "../views.ts";
import type { Metric } from "./exposition.ts";

type Families<T> = Readonly<Record<string, readonly Metric<T>[]>>;

/** What the metrics of the node are read from. */
export interface MeasuredNode {
  readonly broker: HttpHost;
  readonly stats: VirtualHostStats;
  readonly resources: ReturnType<typeof resourcesOf>;
}

/** Reads what the metrics of the node need. */
export function measureNode(broker: HttpHost): MeasuredNode {
  return { broker, stats: broker.core.stats, resources: resourcesOf(broker) };
}

export const NODE_FAMILIES: Families<MeasuredNode> = {
  connection_churn_metrics: [
    ["counter", "connections_opened_total", "Total number of connections opened", ({ broker }) => {
      return broker.core.counters.connectionsOpened;
    }],
    [
      "counter",
      "connections_closed_total",
      "Total number of connections closed or terminated",
      ({ broker }) => broker.core.counters.connectionsClosed,
    ],
    [
      "counter",
      "channels_opened_total",
      "Total number of channels opened",
      ({ stats }) => stats.channelsOpened,
    ],
    [
      "counter",
      "channels_closed_total",
      "Total number of channels closed",
      ({ stats }) => stats.channelsClosed,
    ],
    [
      "counter",
      "queues_declared_total",
      "Total number of queues declared",
      ({ stats }) => stats.queuesDeclared,
    ],
    ["counter", "queues_created_total", "Total number of queues created", ({ stats }) => stats.queuesCreated],
    ["counter", "queues_deleted_total", "Total number of queues deleted", ({ stats }) => stats.queuesDeleted],
  ],
  node_coarse_metrics: [
    ["gauge", "process_open_fds", "Open file descriptors", ({ resources }) => resources.fd_used],
    ["gauge", "process_open_tcp_sockets", "Open TCP sockets", ({ resources }) => resources.sockets_used],
    ["gauge", "process_resident_memory_bytes", "Memory used in bytes", ({ resources }) => resources.mem_used],
    [
      "gauge",
      "disk_space_available_bytes",
      "Disk space available in bytes",
      ({ resources }) => resources.disk_free,
    ],
  ],
  node_metrics: [
    ["gauge", "process_max_fds", "Open file descriptors limit", ({ resources }) => resources.fd_total],
    [
      "gauge",
      "process_max_tcp_sockets",
      "Open TCP sockets limit",
      ({ resources }) => resources.sockets_total,
    ],
    [
      "gauge",
      "resident_memory_limit_bytes",
      "Memory high watermark in bytes",
      ({ resources }) => resources.mem_limit,
    ],
    [
      "gauge",
      "disk_space_available_limit_bytes",
      "Free disk space low watermark in bytes",
      ({ resources }) => resources.disk_free_limit,
    ],
    ["gauge", "erlang_uptime_seconds", "Node uptime", () => process.uptime()],
  ],
};

/** The metrics that client libraries of Prometheus have of each process, and dashboards of any program. */
export const PROCESS: readonly Metric<MeasuredNode>[] = [
  [
    "counter",
    "process_cpu_seconds_total",
    "Total user and system CPU time spent in seconds",
    () => processorTime(),
  ],
  [
    "gauge",
    "process_start_time_seconds",
    "Start time of the process since the Unix epoch in seconds",
    () => STARTED,
  ],
  [
    "gauge",
    "process_resident_memory_bytes",
    "Resident memory size in bytes",
    ({ resources }) => resources.mem_used,
  ],
  ["gauge", "process_open_fds", "Number of open file descriptors", ({ resources }) => resources.fd_used],
  [
    "gauge",
    "process_max_fds",
    "Maximum number of open file descriptors",
    ({ resources }) => resources.fd_total,
  ],
];

const STARTED = Math.round(Date.now() / 1000 - process.uptime());

function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

const QUEUE_DEPTH: readonly Metric<Queue>[] = [
  ["gauge", "queue_messages_ready", "Messages ready to be delivered to consumers", ({ ready }) => ready],
  [
    "gauge",
    "queue_messages_unacked",
    "Messages delivered to consumers but not yet acknowledged",
    ({ unacked }) => unacked,
  ],
  [
    "gauge",
    "queue_messages",
    "Sum of ready and unacknowledged messages - total queue depth",
    ({ ready, unacked }) => ready + unacked,
  ],
];

const QUEUE_CONSUMERS: readonly Metric<Queue>[] = [
  ["gauge", "queue_consumers", "Consumers on a queue", ({ consumers }) => consumers.size],
];

/** Families that only `/metrics/detailed` has. RabbitMQ has the first one since version 3.13. */
export const QUEUE_DELIVERIES: Families<Queue> = {
  queue_delivery_metrics: deliveriesOf("queue_", ({ stats }) => stats),
};

export const QUEUE_FAMILIES: Families<Queue> = {
  queue_coarse_metrics: QUEUE_DEPTH,
  queue_consumer_count: QUEUE_CONSUMERS,
  queue_metrics: [
    ...QUEUE_CONSUMERS,
    ["gauge", "queue_process_memory_bytes", "Memory in bytes used by the queue", memoryOf],
    [
      "gauge",
      "queue_messages_ready_bytes",
      "Size in bytes of ready messages",
      ({ readyBytes }) => readyBytes,
    ],
    [
      "gauge",
      "queue_messages_unacked_bytes",
      "Size in bytes of all unacknowledged messages",
      ({ unackedBytes }) => unackedBytes,
    ],
    [
      "gauge",
      "queue_messages_bytes",
      "Size in bytes of ready and unacknowledged messages",
      ({ readyBytes, unackedBytes }) => readyBytes + unackedBytes,
    ],
  ],
};

export const CONNECTION_FAMILIES: Families<ClientConnection> = {
  connection_coarse_metrics: [
    [
      "counter",
      "connection_incoming_bytes_total",
      "Total number of bytes received on a connection",
      ({ received }) => received,
    ],
    [
      "counter",
      "connection_outgoing_bytes_total",
      "Total number of bytes sent on a connection",
      ({ sent }) => sent,
    ],
  ],
  connection_metrics: [
    [
      "gauge",
      "connection_channels",
      "Channels on a connection",
      (connection) => channelsOf(connection).length,
    ],
  ],
};

export const CHANNEL_GAUGES: Families<ClientChannel> = {
  channel_metrics: [
    ["gauge", "channel_consumers", "Consumers on a channel", ({ consumers }) => consumers.size],
    [
      "gauge",
      "channel_messages_unacked",
      "Delivered but not yet acknowledged messages",
      ({ unacked }) => unacked,
    ],
    [
      "gauge",
      "channel_messages_unconfirmed",
      "Published but not yet confirmed messages",
      ({ unconfirmed }) => unconfirmed,
    ],
    [
      "gauge",
      "consumer_prefetch",
      "Limit of unacknowledged messages for each consumer",
      ({ prefetch }) => prefetch,
    ],
    [
      "gauge",
      "channel_prefetch",
      "Total limit of unacknowledged messages for all consumers on a channel",
      ({ globalPrefetch }) => globalPrefetch,
    ],
  ],
};

/** The messages of channels. In RabbitMQ they have labels of the exchange or the queue, too. */
export const CHANNEL_COUNTERS: Families<MessageStats> = {
  channel_exchange_metrics: [
    [
      "counter",
      "channel_messages_published_total",
      "Total number of messages published into an exchange on a channel",
      ({ published }) => published,
    ],
    [
      "counter",
      "channel_messages_confirmed_total",
      "Total number of messages published into an exchange and confirmed on the channel",
      ({ confirmed }) => confirmed,
    ],
    [
      "counter",
      "channel_messages_unroutable_returned_total",
      "Total number of messages published as mandatory into an exchange and returned to the publisher as unroutable",
      ({ returned }) => returned,
    ],
    [
      "counter",
      "channel_messages_unroutable_dropped_total",
      "Total number of messages published as non-mandatory into an exchange and dropped as unroutable",
      ({ unroutable }) => unroutable,
    ],
  ],
  channel_queue_metrics: deliveriesOf("channel_", (stats) => stats),
};

/** Messages that exchanges put into queues. */
export const ROUTED: Families<VirtualHostStats> = {
  channel_queue_exchange_metrics: [
    [
      "counter",
      "queue_messages_published_total",
      "Total number of messages published to queues",
      ({ routed }) => routed,
    ],
  ],
};

type Deliveries = Pick<
  MessageStats,
  "got" | "gotNoAck" | "getEmpty" | "delivered" | "deliveredNoAck" | "redelivered" | "acknowledged"
>;

function deliveriesOf<T>(prefix: string, stats: (object: T) => Deliveries): Metric<T>[] {
  const counter = (name: string, help: string, value: (stats: Deliveries) => number): Metric<T> => [
    "counter",
    `${prefix}${name}_total`,
    `Total number of ${help}`,
    (object) => value(stats(object)),
  ];
  return [
    counter("get_ack", "messages fetched with basic.get in manual acknowledgement mode", ({ got }) => got),
    counter(
      "get",
      "messages fetched with basic.get in automatic acknowledgement mode",
      ({ gotNoAck }) => gotNoAck,
    ),
    counter(
      "messages_delivered_ack",
      "messages delivered to consumers in manual acknowledgement mode",
      ({ delivered }) => delivered,
    ),
    counter(
      "messages_delivered",
      "messages delivered to consumers in automatic acknowledgement mode",
      ({ deliveredNoAck }) => deliveredNoAck,
    ),
    counter("messages_redelivered", "messages redelivered to consumers", ({ redelivered }) => redelivered),
    counter("messages_acked", "messages acknowledged by consumers", ({ acknowledged }) => acknowledged),
    counter("get_empty", "times basic.get operations fetched no message", ({ getEmpty }) => getEmpty),
  ];
}
