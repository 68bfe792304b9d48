/** Columns that lists are often sorted by, so that not all of their rows must be made. */
import type { Json } from "../core/definitions/table.ts";
import type { Queue } from "../core/queue/queue.ts";
import type { ClientChannel, ClientConnection } from "../protocol.ts";
import { CHANNEL, CONNECTION, type Meter, QUEUE } from "./rates/meters.ts";
import type { Rates } from "./rates/rates.ts";
import { channelName, channelsOf, connectionName, memoryOf } from "./views.ts";

/** Reads a column of an object. */
type Reader<T> = (object: T) => Json;

/** A channel with its connection. */
export interface OpenChannel {
  readonly connection: ClientConnection;
  readonly channel: ClientChannel;
}

const QUEUES: Readonly<Record<string, Reader<Queue>>> = {
  name: (queue) => queue.name,
  vhost: (queue) => queue.definition.vhost,
  type: (queue) => queue.settings.type,
  state: () => "running",
  consumers: (queue) => queue.consumers.size,
  memory: memoryOf,
  message_bytes: (queue) => queue.readyBytes + queue.unackedBytes,
};

const CONNECTIONS: Readonly<Record<string, Reader<ClientConnection>>> = {
  name: connectionName,
  vhost: (connection) => connection.vhost.name,
  user: (connection) => connection.user,
  protocol: (connection) => connection.protocol,
  state: (connection) => connection.state,
  channels: (connection) => channelsOf(connection).length,
  connected_at: (connection) => connection.connectedAt,
};

const CHANNELS: Readonly<Record<string, Reader<OpenChannel>>> = {
  name: ({ connection, channel }) => channelName(connection, channel),
};

/** Returns what reads a column of queues; undefined: it is not known here. */
export function queueColumn(column: string, rates: Rates): Reader<Queue> | undefined {
  return ownOf(QUEUES, column) ?? counterColumn(QUEUE, column, rates, (queue) => queue, (queue) => queue);
}

export function connectionColumn(column: string, rates: Rates): Reader<ClientConnection> | undefined {
  return ownOf(CONNECTIONS, column) ?? counterColumn(CONNECTION, column, rates, (one) => one, (one) => one);
}

export function channelColumn(column: string, rates: Rates): Reader<OpenChannel> | undefined {
  const counter = counterColumn<OpenChannel, ClientChannel>(
    CHANNEL,
    column,
    rates,
    ({ channel }) => channel,
    ({ channel }) => channel.stats,
  );
  return ownOf(CHANNELS, column) ?? counter;
}

function ownOf<T>(readers: Readonly<Record<string, T>>, column: string): T | undefined {
  return Object.hasOwn(readers, column) ? readers[column] : undefined;
}

/** `messages`, `messages_details.rate`, `message_stats.ack`, `message_stats.ack_details.rate`. */
function counterColumn<T, Counted extends object>(
  meter: Meter<Counted>,
  column: string,
  rates: Rates,
  counted: (object: T) => Counted,
  key: (object: T) => object,
): Reader<T> | undefined {
  const found = /^(?:message_stats\.)?(\w+?)(_details\.rate)?$/.exec(column);
  const index = found === null ? undefined : meter.indices.get(found[1]!);
  if (index === undefined) return undefined;
  const [, , value] = meter.counters[index]!;
  return found![2] === undefined
    ? (object) => value(counted(object))
    : (object) => rates.rate(key(object), index);
}
