import process from "node:process";
import type { Queue } from "../core/queue/queue.ts";
import { totals } from "./resources/overview.ts";
import { type ApiRequest, Reply } from "./request.ts";
import type { Handlers } from "./path_table.ts";

/**
 * Metrics for Prometheus, with RabbitMQ's names
 * (https://github.com/rabbitmq/rabbitmq-server/blob/v3.10.8/deps/rabbitmq_prometheus/metrics.md).
 */
export const METRICS: Handlers = {
  "GET /metrics": (request) => expose(request, false),
  "GET /metrics/per-object": (request) => expose(request, true),
};

type Labels = Readonly<Record<string, string>>;

/** The metrics of a queue, with their names and descriptions. */
const QUEUE_METRICS: readonly (readonly [name: string, help: string, value: (queue: Queue) => number])[] = [
  ["rabbitmq_queue_messages_ready", "Messages ready to be delivered to consumers", (queue) => queue.ready],
  [
    "rabbitmq_queue_messages_unacked",
    "Messages delivered to consumers but not yet acknowledged",
    (queue) => queue.unacked,
  ],
  ["rabbitmq_queue_messages", "Sum of ready and unacknowledged messages - total queue depth", depth],
  ["rabbitmq_queue_consumers", "Consumers on a queue", (queue) => queue.consumers.size],
  ["rabbitmq_queue_messages_ready_bytes", "Size in bytes of ready messages", (queue) => queue.readyBytes],
  [
    "rabbitmq_queue_messages_unacked_bytes",
    "Size in bytes of all unacknowledged messages",
    (queue) => queue.unackedBytes,
  ],
  [
    "rabbitmq_queue_messages_bytes",
    "Size in bytes of ready and unacknowledged messages",
    (queue) => queue.readyBytes + queue.unackedBytes,
  ],
];

function depth(queue: Queue): number {
  return queue.ready + queue.unacked;
}

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
  const { options, core: { counters, journal, vhosts } } = broker;
  const text = new Exposition();
  const all = totals(broker);
  const protocol = { protocol: "amqp091" };
  text.gauge("rabbitmq_build_info", "RabbitMQ & Erlang/OTP version info", 1, {
    rabbitmq_version: options.productVersion,
    product_name: options.product,
    product_version: options.productVersion,
  });
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
  for (const [name, help, value] of QUEUE_METRICS) {
    const samples = queues.map((queue): readonly [Labels, number] => {
      return [{ vhost: queue.definition.vhost, queue: queue.name }, value(queue)];
    });
    text.add(
      "gauge",
      name,
      help,
      perObject ? samples : [[{}, samples.reduce((sum, [, one]) => sum + one, 0)]],
    );
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
    Number(journal.memoryFull),
  );
  text.gauge(
    "rabbitmq_alarms_free_disk_space_watermark",
    "is 1 if free disk space watermark is in effect",
    Number(journal.full !== undefined),
  );
  return new Reply(200, text.toString(), "text/plain; version=0.0.4; charset=utf-8");
}
