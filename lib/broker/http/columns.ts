/** Values of columns that lists are often sorted by, so that not all of their rows must be made. */
import type { Json } from "../core/definitions/table.ts";
import type { Queue } from "../core/queue/queue.ts";
import type { ClientChannel, ClientConnection } from "../protocol.ts";
import { CHANNEL, CONNECTION, type Meter, QUEUE } from "./rates/meters.ts";
import { channelName, channelsOf, connectionName, memoryOf, type View } from "./views.ts";

/** A column of a queue; undefined: it is not known here. */
export function queueColumn(queue: Queue, column: string, view: View): Json | undefined {
  switch (column) {
    case "name":
      return queue.name;
    case "vhost":
      return queue.definition.vhost;
    case "type":
      return queue.settings.type;
    case "consumers":
      return queue.consumers.size;
    case "memory":
      return memoryOf(queue);
    case "message_bytes":
      return queue.readyBytes + queue.unackedBytes;
    default:
      return counterColumn(QUEUE, queue, column, view);
  }
}

export function connectionColumn(
  connection: ClientConnection,
  column: string,
  view: View,
): Json | undefined {
  switch (column) {
    case "name":
      return connectionName(connection);
    case "vhost":
      return connection.vhost.name;
    case "user":
    case "protocol":
    case "state":
      return connection[column];
    case "channels":
      return channelsOf(connection).length;
    case "connected_at":
      return connection.connectedAt;
    default:
      return counterColumn(CONNECTION, connection, column, view);
  }
}

export function channelColumn(
  connection: ClientConnection,
  channel: ClientChannel,
  column: string,
  view: View,
): Json | undefined {
  if (column === "name") return channelName(connection, channel);
  return counterColumn(CHANNEL, channel, column, view, channel.stats);
}

/** `messages`, `messages_details.rate`, `message_stats.ack`, `message_stats.ack_details.rate`. */
function counterColumn<T extends object>(
  meter: Meter<T>,
  object: T,
  column: string,
  { rates }: View,
  key: object = object,
): Json | undefined {
  const found = /^(?:message_stats\.)?(\w+?)(_details\.rate)?$/.exec(column);
  const index = found === null ? undefined : meter.indices.get(found[1]!);
  if (index === undefined) return undefined;
  return found![2] === undefined ? meter.counters[index]![2](object) : rates.rate(key, index);
}
