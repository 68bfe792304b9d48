import process from "node:process";
import type { Queue } from "../core/queue/queue.ts";
import type { VirtualHost } from "../core/topology/vhost.ts";
import type { ClientChannel, ClientConnection } from "../protocol.ts";
import { totals } from "./resources/overview.ts";
import { type ApiRequest, Reply } from "./request.ts";
import type { Handlers } from "./path_table.ts";
import { channelName, channelsOf, connectionName } from "./views.ts";

/**
 * Metrics for Prometheus, with RabbitMQ's names
 * (https://github.com/rabbitmq/rabbitmq-server/blob/v3.10.8/deps/rabbitmq_prometheus/metrics.md).
 */
export const METRICS: Handlers = {
  "GET /metrics": (request) => expose(request, false),
  "GET /metrics/per-object": (request) => expose(request, true),
  "GET /metrics/detailed": exposeDetailed,
};

const DETAILED = "rabbitmq_detailed_";

type Labels = Readonly<Record<string, string>>;

/** A metric of each object of one kind; `name` comes after `rabbitmq_` or `rabbitmq_detailed_`. */
type Metric<T> = readonly [
  type: "gauge" | "counter",
  name: string,
  help: string,
  value: (object: T) => number,
];

const QUEUE_DEPTH: readonly Metric<Queue>[] = [
  ["gauge", "queue_messages_ready", "Messages ready to be delivered to consumers", (queue) => queue.ready],
  [
    "gauge",
    "queue_messages_unacked",
    "Messages delivered to consumers but not yet acknowledged",
    (queue) => queue.unacked,
  ],
  [
    "gauge",
    "queue_messages",
    "Sum of ready and unacknowledged messages - total queue depth",
    (queue) => queue.ready + queue.unacked,
  ],
];

const QUEUE_CONSUMERS: readonly Metric<Queue>[] = [
  ["gauge", "queue_consumers", "Consumers on a queue", (queue) => queue.consumers.size],
];

const QUEUE_BYTES: readonly Metric<Queue>[] = [
  ["gauge", "queue_messages_ready_bytes", "Size in bytes of ready messages", (queue) => queue.readyBytes],
  [
    "gauge",
    "queue_messages_unacked_bytes",
    "Size in bytes of all unacknowledged messages",
    (queue) => queue.unackedBytes,
  ],
  [
    "gauge",
    "queue_messages_bytes",
    "Size in bytes of ready and unacknowledged messages",
    (queue) => queue.readyBytes + queue.unackedBytes,
  ],
];

const QUEUE_METRICS = [...QUEUE_DEPTH, ...QUEUE_CONSUMERS, ...QUEUE_BYTES];

/** The families of `/metrics/detailed` for queues. */
const QUEUE_FAMILIES: Readonly<Record<string, readonly Metric<Queue>[]>> = {
  queue_coarse_metrics: QUEUE_DEPTH,
  queue_consumer_count: QUEUE_CONSUMERS,
  queue_metrics: [...QUEUE_CONSUMERS, ...QUEUE_BYTES],
};

const CONNECTION_FAMILIES: Readonly<Record<string, readonly Metric<ClientConnection>[]>> = {
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

const CHANNEL_FAMILIES: Readonly<Record<string, readonly Metric<ClientChannel>[]>> = {
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

/** The text format of Prometheus, version 0.0.4. */
class Exposition {
  readonly #lines: string[] = [];

  add(
    type: "gauge" | "counter",
    name: string,
    help: string,
    samples: readonly (readonly [Labels, number])[],
  ): void {
    this.#lines.push(`# TYPE ${name} ${type}`, `# HELP ${name} ${help}`);
    for (const [labels, value] of samples) this.#lines.push(`${name}${format(labels)} ${value}`);
  }

  gauge(name: string, help: string, value: number, labels: Labels = {}): void {
    this.add("gauge", name, help, [[labels, value]]);
  }

  counter(name: string, help: string, value: number, labels: Labels = {}): void {
    this.add("counter", name, help, [[labels, value]]);
  }

  toString(): string {
    return `${this.#lines.join("\n")}\n`;
  }
}

function format(labels: Labels): string {
  const parts = Object.entries(labels).map(([name, value]) => {
    const escaped = value.toWellFormed().replace(/[\\"]/g, "\\$&").replaceAll("\n", "\\n");
    return `${name}="${escaped}"`;
  });
  return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}

function expose(request: ApiRequest, perObject: boolean): Reply {
  request.require("monitoring");
  const { broker } = request;
  const { counters, journal, vhosts } = broker.core;
  const text = new Exposition();
  addInfo(text, request);
  const all = totals(broker);
  const protocol = { protocol: "amqp091" };
  text.gauge("rabbitmq_connections", "Connections currently open", all.connections);
  text.gauge("rabbitmq_channels", "Channels currently open", all.channels);
  text.gauge("rabbitmq_consumers", "Consumers currently connected", all.consumers);
  text.gauge("rabbitmq_queues", "Queues available", all.queues);
  text.counter(
    "rabbitmq_connections_opened_total",
    "Total number of connections opened",
    counters.connectionsOpened,
  );
  text.counter(
    "rabbitmq_connections_closed_total",
    "Total number of connections closed or terminated",
    counters.connectionsClosed,
  );
  const queues = [...vhosts.values()].flatMap(({ queues }) => [...queues.values()]);
  if (perObject) addObjects(text, "rabbitmq_", QUEUE_METRICS, queues, labelsOfQueue);
  else {
    for (const [type, name, help, value] of QUEUE_METRICS) {
      text.add(type, `rabbitmq_${name}`, help, [[{}, queues.reduce((sum, queue) => sum + value(queue), 0)]]);
    }
  }
  const global = (name: string, help: string, value: number) =>
    text.counter(`rabbitmq_global_messages_${name}_total`, help, value, protocol);
  global("received", "Total number of messages received from publishers", counters.published);
  global(
    "received_confirm",
    "Total number of messages received from publishers using confirms",
    counters.confirmable,
  );
  global("delivered", "Total number of messages delivered to consumers", counters.delivered);
  global("redelivered", "Total number of messages redelivered to consumers", counters.redelivered);
  global("acknowledged", "Total number of messages acknowledged by consumers", counters.acknowledged);
  global(
    "unroutable_returned",
    "Total number of messages published as mandatory into an exchange and returned to the publisher as unroutable",
    counters.returned,
  );
  global(
    "unroutable_dropped",
    "Total number of messages published as non-mandatory into an exchange and dropped as unroutable",
    counters.unroutable,
  );
  text.gauge("rabbitmq_process_resident_memory_bytes", "Memory used in bytes", process.memoryUsage().rss);
  text.gauge(
    "rabbitmq_alarms_memory_used_watermark",
    "is 1 if VM memory watermark is in effect",
    Number(request.core.cycle.memoryFull),
  );
  text.gauge(
    "rabbitmq_alarms_free_disk_space_watermark",
    "is 1 if free disk space watermark is in effect",
    Number(journal.full !== undefined),
  );
  return reply(text);
}

/** The metrics of each object in the families that the query names (`family`), in all or some virtual hosts (`vhost`). */
function exposeDetailed(request: ApiRequest): Reply {
  request.require("monitoring");
  const wanted = request.query.getAll("vhost");
  const isWanted = (vhost: VirtualHost) => wanted.length === 0 || wanted.includes(vhost.name);
  const text = new Exposition();
  addInfo(text, request);
  const queues = [...request.core.vhosts.values()].filter(isWanted).flatMap((
    { queues },
  ) => [...queues.values()]);
  addObjects(text, DETAILED, chosen(request, QUEUE_FAMILIES), queues, labelsOfQueue);
  const connections = [...request.broker.connections].filter(({ vhost }) => isWanted(vhost));
  addObjects(text, DETAILED, chosen(request, CONNECTION_FAMILIES), connections, (connection) => {
    return { connection: connectionName(connection) };
  });
  const names = new Map<ClientChannel, string>();
  for (const connection of connections) {
    for (const channel of channelsOf(connection)) names.set(channel, channelName(connection, channel));
  }
  addObjects(text, DETAILED, chosen(request, CHANNEL_FAMILIES), [...names.keys()], (channel) => {
    return { channel: names.get(channel)! };
  });
  return reply(text);
}

/** Returns the metrics of the families in the query. Families may have metrics in common. */
function chosen<T>(
  { query }: ApiRequest,
  families: Readonly<Record<string, readonly Metric<T>[]>>,
): ReadonlySet<Metric<T>> {
  const names = query.getAll("family").filter((family) => Object.hasOwn(families, family));
  return new Set(names.flatMap((family) => families[family]!));
}

function addInfo(text: Exposition, { broker: { options }, node }: ApiRequest): void {
  text.gauge("rabbitmq_build_info", "RabbitMQ & Erlang/OTP version info", 1, {
    rabbitmq_version: options.productVersion,
    product_name: options.product,
    product_version: options.productVersion,
  });
  text.gauge("rabbitmq_identity_info", "RabbitMQ node & cluster identity info", 1, {
    rabbitmq_node: node,
    rabbitmq_cluster: node,
  });
}

function addObjects<T>(
  text: Exposition,
  prefix: string,
  metrics: Iterable<Metric<T>>,
  objects: readonly T[],
  labels: (object: T) => Labels,
): void {
  for (const [type, name, help, value] of metrics) {
    text.add(type, prefix + name, help, objects.map((object) => [labels(object), value(object)]));
  }
}

function labelsOfQueue({ name, definition }: Queue): Labels {
  return { vhost: definition.vhost, queue: name };
}

function reply(text: Exposition): Reply {
  return new Reply(200, text.toString(), "text/plain; version=0.0.4; charset=utf-8");
}
