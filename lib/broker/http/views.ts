/** Objects of the broker as RabbitMQ's management shows them; rates are left out, for nobody counts over time. */
import { createHash } from "node:crypto";
import type { FieldTable } from "../../amqp/types/field_value.ts";
import type { Broker } from "../server.ts";
import type { ServerChannel } from "../amqp/channel/channel.ts";
import type { ServerConnection } from "../amqp/connection.ts";
import { type Binding, definitionOf, type Exchange } from "../core/exchange/exchange.ts";
import { type Json, tableToJson } from "../core/definitions/table.ts";
import type { QueueConsumer } from "../core/queue/consumer.ts";
import type { Queue } from "../core/queue/queue.ts";
import { type BindingDefinition, tableKey } from "../core/topology/definition_change.ts";
import type { VirtualHost } from "../core/topology/vhost.ts";

export type Row = { [name: string]: Json };

/** The name of this one node. */
export const NODE = "mqcat@localhost";

/** Where the broker listens for clients. */
export function listenersOf({ endpoints }: Broker): Row[] {
  return endpoints.flatMap((endpoint) => {
    const found = /^(amqps?):\/\/\[?(.*?)\]?:(\d+)$/.exec(endpoint);
    if (found === null) return [];
    const [, scheme, ip_address, port] = found;
    return {
      node: NODE,
      protocol: scheme === "amqps" ? "amqp/ssl" : "amqp",
      ip_address: ip_address!,
      port: Number(port),
    };
  });
}

export function queueRow(queue: Queue): Row {
  const { name, vhost, durable, exclusive, autoDelete } = queue.definition;
  const { ready, unacked, readyBytes, unackedBytes } = queue;
  return {
    name,
    vhost,
    durable,
    exclusive,
    auto_delete: autoDelete,
    arguments: tableToJson(queue.definition.arguments),
    type: queue.settings.type,
    node: NODE,
    state: "running",
    consumers: queue.consumers.size,
    single_active_consumer_tag: queue.consumers.active?.options.tag ?? null,
    messages: ready + unacked,
    messages_ready: ready,
    messages_unacknowledged: unacked,
    message_bytes: readyBytes + unackedBytes,
    message_bytes_ready: readyBytes,
    message_bytes_unacknowledged: unackedBytes,
    policy: null,
    operator_policy: null,
    effective_policy_definition: {},
  };
}

export function exchangeRow({ definition, delayQueue }: Exchange<Queue>): Row {
  const { name, vhost, type, durable, autoDelete, internal } = definition;
  return {
    name,
    vhost,
    type,
    durable,
    auto_delete: autoDelete,
    internal,
    arguments: tableToJson(definition.arguments),
    ...(delayQueue === undefined ? {} : { messages_delayed: delayQueue.ready }),
  };
}

/** All bindings of a virtual host, those of the default exchange among them. */
export function* bindingsOf(vhost: VirtualHost<Queue>): IterableIterator<BindingDefinition> {
  for (const name of vhost.queues.keys()) {
    yield {
      vhost: vhost.name,
      source: "",
      destinationType: "queue",
      destination: name,
      routingKey: name,
      arguments: {},
    };
  }
  for (const binding of vhost.bindings()) yield definitionOf(binding as Binding<Queue>);
}

export function bindingRow(binding: BindingDefinition): Row {
  return {
    source: binding.source,
    vhost: binding.vhost,
    destination: binding.destination,
    destination_type: binding.destinationType,
    routing_key: binding.routingKey,
    arguments: tableToJson(binding.arguments),
    properties_key: propertiesKey(binding.routingKey, binding.arguments),
  };
}

/** What tells apart the bindings between the same two ends, in paths. */
export function propertiesKey(routingKey: string, args: FieldTable): string {
  const key = encodeURIComponent(routingKey.toWellFormed()).replaceAll("~", "%7E");
  const fields = tableKey(args);
  if (fields === "") return key || "~";
  return `${key}~${createHash("sha256").update(fields).digest("base64url").slice(0, 8)}`;
}

export function connectionRow(connection: ServerConnection): Row {
  const [host, port] = addressOf(connection.local);
  const [peerHost, peerPort] = addressOf(connection.remote);
  return {
    name: connectionName(connection),
    user: connection.user,
    vhost: connection.vhost.name,
    node: NODE,
    type: "network",
    protocol: "AMQP 0-9-1",
    state: connection.closing ? "closing" : connection.held ? "blocked" : "running",
    host,
    port,
    peer_host: peerHost,
    peer_port: peerPort,
    ssl: connection.local.startsWith("tls:"),
    channels: channelsOf(connection).length,
    channel_max: connection.channelMax,
    frame_max: connection.frameMax,
    timeout: connection.heartbeat,
    connected_at: connection.connectedAt,
    recv_oct: connection.received,
    send_oct: connection.sent,
    client_properties: tableToJson(connection.clientProperties),
  };
}

export function channelsOf(connection: ServerConnection): ServerChannel[] {
  return connection.channels.filter((channel) => channel !== undefined);
}

export function channelRow(channel: ServerChannel): Row {
  const { connection, number, consuming, publishing } = channel;
  return {
    name: channelName(channel),
    number,
    user: connection.user,
    vhost: connection.vhost.name,
    node: NODE,
    state: "running",
    connection_details: connectionDetails(connection),
    confirm: publishing.confirms !== undefined,
    transactional: channel.transaction !== undefined,
    consumer_count: consuming.consumers.size,
    messages_unacknowledged: consuming.deliveries.count,
    prefetch_count: consuming.prefetch,
    global_prefetch_count: consuming.globalPrefetch,
    message_stats: { publish: publishing.count },
  };
}

export function consumerRow(consumer: QueueConsumer, channel: ServerChannel): Row {
  const { tag, noAck, exclusive, prefetch } = consumer.options;
  const { name, vhost } = consumer.queue.definition;
  const { active } = consumer.queue.consumers;
  return {
    consumer_tag: tag,
    ack_required: !noAck,
    exclusive,
    prefetch_count: prefetch,
    arguments: tableToJson(consumer.options.arguments),
    active: active === undefined || active === consumer,
    queue: { name, vhost },
    channel_details: {
      ...connectionDetails(channel.connection),
      name: channelName(channel),
      connection_name: connectionName(channel.connection),
      number: channel.number,
      user: channel.connection.user,
      node: NODE,
    },
  };
}

/** Both ends, as RabbitMQ names connections: `127.0.0.1:51234 -> 127.0.0.1:5672`. */
export function connectionName({ local, remote }: ServerConnection): string {
  const short = (endpoint: string) => endpoint.replace(/^t(cp|ls):\/\//, "");
  return `${short(remote)} -> ${short(local)}`;
}

function channelName(channel: ServerChannel): string {
  return `${connectionName(channel.connection)} (${channel.number})`;
}

function connectionDetails(connection: ServerConnection): Row {
  const [host, port] = addressOf(connection.remote);
  return { name: connectionName(connection), peer_host: host, peer_port: port };
}

function addressOf(endpoint: string): [host: string, port: number] {
  const found = /^t(?:cp|ls):\/\/\[?(.*?)\]?:(\d+)$/.exec(endpoint);
  return found === null ? [endpoint, 0] : [found[1]!, Number(found[2])];
}
