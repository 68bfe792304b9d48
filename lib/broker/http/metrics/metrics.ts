import type { Queue } from "../../core/queue/queue.ts";
import type { VirtualHost } from "../../core/topology/vhost.ts";
import type { ClientChannel } from "../../protocol.ts";
import { type ApiRequest, Reply } from "../request.ts";
import type { Handlers } from "../path_table.ts";
import { totals } from "../resources/overview.ts";
import { channelName, channelsOf, connectionName } from "../views.ts";
import { Exposition, type Labels, type Metric } from "./exposition.ts";
import {
  CHANNEL_COUNTERS,
  CHANNEL_GAUGES,
  CONNECTION_FAMILIES,
  measureNode,
  NODE_FAMILIES,
  PROCESS,
  QUEUE_DELIVERIES,
  QUEUE_FAMILIES,
  ROUTED,
} from "./families.ts";
import { addGlobal, addSizes } from "./global.ts";

/**
 * Metrics for Prometheus, with RabbitMQ's names
 * (https://github.com/rabbitmq/rabbitmq-server/blob/v3.10.8/deps/rabbitmq_prometheus/metrics.md).
 */
export const METRICS: Handlers = {
  "GET /metrics": (request) => expose(request, false),
  "GET /metrics/per-object": (request) => expose(request, true),
  "GET /metrics/detailed": exposeDetailed,
};

const PLAIN = "rabbitmq_";
const DETAILED = "rabbitmq_detailed_";
const CLUSTER = "rabbitmq_cluster_";

/** All families of metrics, for the sums and for each object. */
function expose(request: ApiRequest, perObject: boolean): Reply {
  request.require("monitoring");
  const { broker } = request;
  const text = new Exposition();
  const node = measureNode(broker);
  const all = totals(broker);
  addInfo(text, request, perObject ? "per-object" : "aggregated");
  addAlarms(text, request);
  for (const kind of ["connections", "channels", "consumers", "queues"] as const) {
    text.add("gauge", `rabbitmq_${kind}`, `Number of open ${kind}`, [[{}, all[kind]]]);
  }
  text.sum(PLAIN, allOf(NODE_FAMILIES), [node]);
  text.sum("", PROCESS, [node]);
  addLogins(text, request, PLAIN);
  const objects = objectsOf(request, () => true);
  if (perObject) addObjects(text, PLAIN, objects, (families) => allOf(families));
  else {
    text.sum(PLAIN, allOf(QUEUE_FAMILIES), objects.queues);
    text.sum(PLAIN, allOf(CONNECTION_FAMILIES), objects.connections);
    text.sum(PLAIN, allOf(CHANNEL_GAUGES), objects.channels.map(({ channel }) => channel));
    // Closed channels count, too, so that the sums never decrease.
    text.sum(PLAIN, allOf(CHANNEL_COUNTERS), [node.stats]);
    text.sum(PLAIN, allOf(ROUTED), [node.stats]);
  }
  addGlobal(text, node);
  addSizes(text, broker);
  return reply(text);
}

/** The metrics of each object in the families that the query names (`family`), in all or some virtual hosts (`vhost`). */
function exposeDetailed(request: ApiRequest): Reply {
  request.require("monitoring");
  const { broker } = request;
  const wanted = request.query.getAll("vhost");
  const families = new Set(request.query.getAll("family"));
  const text = new Exposition();
  addInfo(text, request, "detailed");
  const chosen: Choice = (table) =>
    new Set(Object.keys(table).filter((family) => families.has(family)).flatMap((family) => table[family]!));
  text.sum(DETAILED, chosen(NODE_FAMILIES), [measureNode(broker)]);
  if (families.has("auth_attempt_metrics")) addLogins(text, request, DETAILED);
  const objects = objectsOf(request, ({ name }) => wanted.length === 0 || wanted.includes(name));
  addObjects(text, DETAILED, objects, chosen);
  text.each(DETAILED, chosen(QUEUE_DELIVERIES), objects.queues, labelsOfQueue);
  addClusterFamilies(text, families, objects.vhosts);
  return reply(text);
}

/** Chooses metrics of families. Families may have metrics in common. */
type Choice = <T>(families: Readonly<Record<string, readonly Metric<T>[]>>) => Iterable<Metric<T>>;

function allOf<T>(families: Readonly<Record<string, readonly Metric<T>[]>>): Set<Metric<T>> {
  return new Set(Object.values(families).flat());
}

interface Objects {
  readonly vhosts: readonly VirtualHost[];
  readonly queues: readonly Queue[];
  readonly connections: readonly ApiConnection[];
  readonly channels: readonly { readonly name: string; readonly channel: ClientChannel }[];
}

type ApiConnection = Parameters<typeof connectionName>[0];

function objectsOf({ broker, core }: ApiRequest, isWanted: (vhost: VirtualHost) => boolean): Objects {
  const vhosts = [...core.vhosts.values()].filter(isWanted);
  const connections = [...broker.connections].filter(({ vhost }) => isWanted(vhost));
  return {
    vhosts,
    connections,
    queues: vhosts.flatMap(({ queues }) => [...queues.values()]),
    channels: connections.flatMap((connection) =>
      channelsOf(connection).map((channel) => ({ name: channelName(connection, channel), channel }))
    ),
  };
}

function addObjects(text: Exposition, prefix: string, objects: Objects, chosen: Choice): void {
  const { vhosts, queues, connections, channels } = objects;
  text.each(prefix, chosen(QUEUE_FAMILIES), queues, labelsOfQueue);
  text.each(prefix, chosen(CONNECTION_FAMILIES), connections, (connection) => ({
    connection: connectionName(connection),
  }));
  const names = new Map<object, string>();
  for (const { name, channel } of channels) names.set(channel, name).set(channel.stats, name);
  const labels = (object: object): Labels => ({ channel: names.get(object)! });
  text.each(prefix, chosen(CHANNEL_GAUGES), channels.map(({ channel }) => channel), labels);
  text.each(prefix, chosen(CHANNEL_COUNTERS), channels.map(({ channel }) => channel.stats), labels);
  const hosts = new Map<object, string>(vhosts.map(({ name, stats }) => [stats, name]));
  text.each(
    prefix,
    chosen(ROUTED),
    vhosts.map(({ stats }) => stats),
    (stats) => ({ vhost: hosts.get(stats)! }),
  );
}

/** The families that RabbitMQ has for the whole cluster. */
function addClusterFamilies(
  text: Exposition,
  families: ReadonlySet<string>,
  vhosts: readonly VirtualHost[],
): void {
  const exchanges = vhosts.flatMap(({ exchanges }) => [...exchanges.values()]);
  const named = exchanges.filter(({ name }) => name !== "").map((exchange) => {
    const { vhost, name, type } = exchange.definition;
    return { labels: { vhost, exchange: name, type }, bindings: exchange.bindings.size };
  });
  const add = (
    family: string,
    name: string,
    help: string,
    samples: readonly (readonly [Labels, number])[],
  ) => {
    if (families.has(family)) text.add("gauge", CLUSTER + name, help, samples);
  };
  add(
    "vhost_status",
    "vhost_status",
    "Whether a given vhost is running",
    vhosts.map(({ name }) => {
      return [{ vhost: name }, 1];
    }),
  );
  add(
    "exchange_names",
    "exchange_name",
    "Enumerates exchanges without any additional info",
    named.map((one) => {
      return [one.labels, 1];
    }),
  );
  add(
    "exchange_bindings",
    "exchange_bindings",
    "Number of bindings for an exchange",
    named.map((one) => {
      return [one.labels, one.bindings];
    }),
  );
}

/** @param endpoint RabbitMQ's name of what is scraped: queries of RabbitMQ 4 join only with that of `/metrics` */
function addInfo(text: Exposition, { broker: { options }, node }: ApiRequest, endpoint: string): void {
  const build = {
    rabbitmq_version: options.productVersion,
    prometheus_plugin_version: options.productVersion,
    product_name: options.product,
    product_version: options.productVersion,
  };
  text.add("gauge", "rabbitmq_build_info", "RabbitMQ & Erlang/OTP version info", [[build, 1]]);
  const identity = {
    rabbitmq_node: node,
    rabbitmq_cluster: node,
    rabbitmq_cluster_permanent_id: node,
    rabbitmq_endpoint: endpoint,
  };
  text.add("gauge", "rabbitmq_identity_info", "RabbitMQ node & cluster identity info", [[identity, 1]]);
}

function addAlarms(text: Exposition, { core: { cycle, journal } }: ApiRequest): void {
  const alarms = [
    ["memory_used", "VM memory", cycle.memoryFull],
    ["free_disk_space", "free disk space", journal.full !== undefined],
  ] as const;
  for (const [name, help, isOn] of alarms) {
    text.add("gauge", `rabbitmq_alarms_${name}_watermark`, `is 1 if ${help} watermark is in effect`, [
      [{}, Number(isOn)],
    ]);
  }
  text.add(
    "gauge",
    "rabbitmq_alarms_file_descriptor_limit",
    "is 1 if file descriptor limit alarm is in effect",
    [
      [{}, 0],
    ],
  );
}

function addLogins(text: Exposition, { core: { counters } }: ApiRequest, prefix: string): void {
  const logins = [...counters.logins].map(([protocol, { failed, succeeded }]) => ({
    protocol,
    failed,
    succeeded,
  }));
  text.each(
    prefix,
    [
      [
        "counter",
        "auth_attempts_total",
        "Total number of authentication attempts",
        (one) => one.failed + one.succeeded,
      ],
      [
        "counter",
        "auth_attempts_succeeded_total",
        "Total number of successful authentication attempts",
        (one) => {
          return one.succeeded;
        },
      ],
      [
        "counter",
        "auth_attempts_failed_total",
        "Total number of failed authentication attempts",
        (one) => one.failed,
      ],
    ],
    logins,
    ({ protocol }) => ({ protocol }),
  );
}

function labelsOfQueue({ name, definition }: Queue): Labels {
  return { vhost: definition.vhost, queue: name };
}

function reply(text: Exposition): Reply {
  return new Reply(200, text.toString(), "text/plain; version=0.0.4; charset=utf-8");
}
