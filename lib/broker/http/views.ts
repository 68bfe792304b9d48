/** Objects of the broker as RabbitMQ's management API shows them. */
import { createHash } from "node:crypto";
import type { FieldTable } from "../../amqp/types/field_value.ts";
import { connectionName as nameOf } from "../core/clients/names.ts";
import { type Binding, definitionOf, type Exchange } from "../core/exchange/exchange.ts";
import { tableToJson } from "../core/definitions/table.ts";
import type { QueueConsumer } from "../core/queue/consumer.ts";
import type { Queue } from "../core/queue/queue.ts";
import { memoryOf, nodeName, queueRow, type Row } from "../core/queue/queue_row.ts";
import { type BindingDefinition, tableKey } from "../core/topology/definition_change.ts";
import type { VirtualHost } from "../core/topology/vhost.ts";
import type { ClientChannel, ClientConnection } from "../protocol.ts";
import type { HttpHost } from "./host.ts";
import { CHANNEL, CONNECTION, EXCHANGE, QUEUE } from "./rates/meters.ts";
import type { Rates } from "./rates/rates.ts";

export { memoryOf, nodeName, type Row } from "../core/queue/queue_row.ts";

/** What rows need besides their objects. */
export interface View {
  readonly node: string;
  readonly rates: Rates;
}

/** The listeners for clients. */
export function listenersOf({ endpoints, options }: HttpHost): Row[] {
  const node = nodeName(options.product);
  return endpoints.flatMap((endpoint) => {
    const found = /^([a-z]+?)(s?):\/\/\[?([^/]*?)\]?:(\d+)(?:\/.*)?$/.exec(endpoint);
    if (found === null || found[1] === "inproc") return [];
    const [, scheme, secure, ip_address, port] = found;
    return {
      node,
      protocol: secure === "" ? scheme! : `${scheme}/ssl`,
      ip_address: ip_address!,
      port: Number(port),
    };
  });
}

/** Describes a queue with its statistics. `idle_since` is the time when it last had work. */
export function queueDetails(queue: Queue, { node, rates }: View): Row {
  const { stats } = queue;
  return {
    ...queueRow(queue, node),
    ...rates.of(QUEUE, queue, ["lengths"]),
    memory: memoryOf(queue),
    idle_since: new Date(stats.activeAt).toISOString().replace("Z", "+00:00"),
    ...statistics(rates.used(QUEUE, queue, ["published", "delivered"])),
  };
}

/** The member for the counters of messages. As in RabbitMQ, what was never used has none. */
export function statistics(counts: Row | undefined): Row {
  return counts === undefined ? {} : { message_stats: counts };
}

export function exchangeRow(exchange: Exchange, { rates }: View): Row {
  const { definition, delayQueue, policies } = exchange;
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
    // As in RabbitMQ, exchanges without a policy do not have the member.
    ...(policies?.policy === undefined ? {} : { policy: policies.policy.name }),
    ...statistics(rates.used(EXCHANGE, exchange, ["published"])),
  };
}

/** All bindings of a virtual host, including those of the default exchange. */
export function* bindingsOf(vhost: VirtualHost): IterableIterator<BindingDefinition> {
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
  for (const binding of vhost.bindings()) yield definitionOf(binding as Binding);
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

/** The key that distinguishes bindings between the same exchange and destination, in paths. */
export function propertiesKey(routingKey: string, args: FieldTable): string {
  const key = quotePlus(routingKey);
  const fields = tableKey(args);
  if (fields === "") return key || "~";
  // RabbitMQ's hash is a function of Erlang's runtime; only its length and alphabet are the same.
  return `${key}~${createHash("sha256").update(fields).digest("base64url").slice(0, 6)}`;
}

/** Encodes a text for a part of a path, as RabbitMQ does. */
function quotePlus(text: string): string {
  return encodeURIComponent(text.toWellFormed())
    .replace(/[!'()*~]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll("%20", "+");
}

/** The path of a binding, relative to the path of its source and destination. */
export function bindingLocation(binding: BindingDefinition): string {
  const key = propertiesKey(binding.routingKey, binding.arguments);
  return `${encodeURIComponent(binding.destination)}/${quotePlus(key).replaceAll("%7E", "~")}`;
}

export function connectionRow(connection: ClientConnection, { node, rates }: View): Row {
  const [host, port] = addressOf(connection.local);
  const [peerHost, peerPort] = addressOf(connection.remote);
  return {
    name: connectionName(connection),
    user: connection.user,
    vhost: connection.vhost.name,
    node,
    type: "network",
    protocol: connection.protocol,
    state: connection.state,
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
    ...rates.of(CONNECTION, connection, ["data"]),
    client_properties: tableToJson(connection.clientProperties),
  };
}

export function channelsOf(connection: ClientConnection): ClientChannel[] {
  return connection.channels.filter((channel) => channel !== undefined);
}

/** Rows of all channels of a connection. */
export function channelRows(connection: ClientConnection, view: View): Row[] {
  return channelsOf(connection).map((channel) => channelRow(connection, channel, view));
}

export function channelRow(
  connection: ClientConnection,
  channel: ClientChannel,
  { node, rates }: View,
): Row {
  return {
    name: channelName(connection, channel),
    number: channel.number,
    user: connection.user,
    vhost: connection.vhost.name,
    node,
    state: "running",
    connection_details: connectionDetails(connection),
    confirm: channel.confirms,
    transactional: channel.transactional,
    consumer_count: channel.consumers.size,
    messages_unacknowledged: channel.unacked,
    messages_unconfirmed: channel.unconfirmed,
    prefetch_count: channel.prefetch,
    global_prefetch_count: channel.globalPrefetch,
    ...statistics(rates.used(CHANNEL, channel, ["published", "delivered"], channel.stats)),
  };
}

/** Rows of all consumers of a connection. */
export function consumerRows(connection: ClientConnection, node: string): Row[] {
  return channelsOf(connection).flatMap((channel) =>
    [...channel.consumers.values()].map((consumer) => consumerRow(connection, channel, consumer, node))
  );
}

function consumerRow(
  connection: ClientConnection,
  channel: ClientChannel,
  consumer: QueueConsumer,
  node: string,
): Row {
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
      ...connectionDetails(connection),
      name: channelName(connection, channel),
      connection_name: connectionName(connection),
      number: channel.number,
      user: connection.user,
      node,
    },
  };
}

/** The name of a connection, such as `127.0.0.1:51234 -> 127.0.0.1:5672`. */
export const connectionName: (connection: ClientConnection) => string = nameOf;

/** The name of a channel, such as `127.0.0.1:51234 -> 127.0.0.1:5672 (1)`. */
export function channelName(connection: ClientConnection, { number }: ClientChannel): string {
  return `${connectionName(connection)} (${number})`;
}

function connectionDetails(connection: ClientConnection): Row {
  const [host, port] = addressOf(connection.remote);
  return { name: connectionName(connection), peer_host: host, peer_port: port };
}

function addressOf(endpoint: string): [host: string, port: number] {
  const found = /^t(?:cp|ls):\/\/\[?(.*?)\]?:(\d+)$/.exec(endpoint);
  return found === null ? [endpoint, 0] : [found[1]!, Number(found[2])];
}
