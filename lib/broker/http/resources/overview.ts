import os from "node:os";
import process from "node:process";
import type { HttpHost } from "../host.ts";
import { EXCHANGE_TYPES } from "../../core/exchange/types.ts";
import type { Json } from "../../core/definitions/table.ts";
import { notFound } from "../errors.ts";
import { resourcesOf } from "../resources.ts";
import { columnsOf } from "../list.ts";
import type { ApiRequest } from "../request.ts";
import type { Handlers } from "../path_table.ts";
import { BROKER, measureBroker, type Part } from "../rates/meters.ts";
import { channelsOf, listenersOf, type Row } from "../views.ts";

/** The overview of the broker, and its single node. */
export const OVERVIEW: Handlers = {
  "GET /api/overview": overview,
  "GET /api/nodes": (request) => [columnsOf(node(request), request.query)],
  "GET /api/nodes/:name": (request) => {
    checkNode(request);
    return columnsOf(node(request), request.query);
  },
  "GET /api/cluster-name": (request) => ({ name: request.node }),
  "GET /api/extensions": () => [],
  "GET /api/auth": () => ({ enable_uaa: false, uaa_client_id: "", uaa_location: "" }),
  "GET /api/auth/attempts/:name": attempts,
  "DELETE /api/auth/attempts/:name": resetAttempts,
  // Logins are not counted by their source.
  "GET /api/auth/attempts/:name/source": (request) => {
    checkAttempts(request);
    return [];
  },
  "DELETE /api/auth/attempts/:name/source": checkAttempts,
};

/** Clients compare it with the versions that RabbitMQ 3.10 runs on. */
const ERLANG = "25.0";

function checkNode(request: ApiRequest): void {
  if (request.param("name") !== request.node) throw notFound();
}

function checkAttempts(request: ApiRequest): undefined {
  request.require("monitoring");
  checkNode(request);
}

/** Counts the logins since the start or the last reset, by protocol. */
function attempts(request: ApiRequest): Json {
  checkAttempts(request);
  return [...request.core.counters.logins].map(([protocol, { failed, succeeded }]) => ({
    protocol,
    auth_attempts: failed + succeeded,
    auth_attempts_failed: failed,
    auth_attempts_succeeded: succeeded,
  }));
}

function resetAttempts(request: ApiRequest): undefined {
  checkAttempts(request);
  request.core.counters.logins.clear();
}

function overview(request: ApiRequest): Json {
  const { rates, broker } = request;
  const { options, core } = broker;
  const { queues, connections, channels, consumers, exchanges } = totals(broker);
  const measured = measureBroker(broker);
  const counts = (...parts: Part[]) => rates.of(BROKER, measured, parts, core);
  return columnsOf({
    management_version: options.productVersion,
    rabbitmq_version: options.productVersion,
    product_name: options.product,
    product_version: options.productVersion,
    erlang_version: ERLANG,
    erlang_full_version: `Erlang/OTP ${ERLANG.split(".")[0]} [${options.product} does not run on Erlang]`,
    cluster_name: request.node,
    node: request.node,
    rates_mode: "basic",
    exchange_types: exchangeTypes(),
    object_totals: { queues, connections, channels, consumers, exchanges },
    queue_totals: counts("lengths"),
    message_stats: counts("published", "delivered", "disk"),
    churn_rates: counts("churn"),
    sample_retention_policies: { global: [3600], basic: [600], detailed: [600] },
    statistics_db_event_queue: 0,
    disable_stats: false,
    enable_queue_totals: false,
    listeners: listenersOf(request.broker),
    contexts: [],
  }, request.query);
}

function node({ broker, node }: ApiRequest): Row {
  return {
    name: node,
    type: "disc",
    running: true,
    os_pid: String(process.pid),
    uptime: Math.round(process.uptime() * 1000),
    processors: os.availableParallelism(),
    ...resourcesOf(broker),
    rates_mode: "basic",
    mem_alarm: broker.core.cycle.memoryFull,
    disk_free_alarm: broker.core.journal.full !== undefined,
    partitions: [],
    exchange_types: exchangeTypes(),
    db_dir: broker.options.data ?? null,
  };
}

/** Counts the objects of the broker. */
export function totals(broker: HttpHost): Readonly<
  Record<"queues" | "connections" | "channels" | "consumers" | "exchanges", number>
> {
  const connections = [...broker.connections];
  const channels = connections.flatMap(channelsOf);
  const counts = {
    connections: connections.length,
    channels: channels.length,
    consumers: channels.reduce((sum, { consumers }) => sum + consumers.size, 0),
    queues: 0,
    exchanges: 0,
  };
  for (const { queues, exchanges } of broker.core.vhosts.values()) {
    counts.queues += queues.size;
    counts.exchanges += exchanges.size;
  }
  return counts;
}

function exchangeTypes(): Row[] {
  return EXCHANGE_TYPES.map((name) => ({ name, description: `AMQP ${name} exchange`, enabled: true }));
}
