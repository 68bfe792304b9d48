import os from "node:os";
import type { CountedQueue } from "../../../amqp/peek.ts";
import { type Json, tableToJson } from "../definitions/table.ts";
import { deliverGet } from "../message_stats.ts";
import type { Queue } from "./queue.ts";

/** An object as RabbitMQ's management API shows it. */
export type Row = { [name: string]: Json };

/**
 * Returns the name of the broker's only node. Clients of a broker that presents itself as RabbitMQ expect
 * `rabbit@` and the name of the machine.
 */
export function nodeName(product: string): string {
  return product === "RabbitMQ" ? `rabbit@${os.hostname().split(".")[0]}` : "mqcat@localhost";
}

/** Describes a queue as RabbitMQ's management API does. */
export function queueRow(queue: Queue, node: string): Row {
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
    node,
    ...(queue.settings.type === "quorum" ? { leader: node, members: [node], online: [node] } : {}),
    state: "running",
    consumers: queue.consumers.size,
    single_active_consumer_tag: queue.consumers.active?.options.tag ?? null,
    messages: ready + unacked,
    messages_ready: ready,
    messages_unacknowledged: unacked,
    message_bytes: readyBytes + unackedBytes,
    message_bytes_ready: readyBytes,
    message_bytes_unacknowledged: unackedBytes,
    ...receivedAt(queue),
    policy: queue.policies?.policy?.name ?? null,
    operator_policy: queue.policies?.operatorPolicy?.name ?? null,
    effective_policy_definition: { ...queue.policies?.definition },
  };
}

/** The memory of a queue's objects without its index, in bytes; an estimate. */
const QUEUE_MEMORY = 2048;

/** The memory of a queue, in bytes; an estimate. */
export function memoryOf(queue: Queue): number {
  return queue.lanes.reduce((bytes, lane) => bytes + lane.memory, QUEUE_MEMORY);
}

/** Returns the figures of a queue for a live view. */
export function countedQueue(queue: Queue): CountedQueue {
  const { name, settings, ready, unacked, consumers, oldest, stats } = queue;
  const receivedAt = oldest?.isExact ? oldest.time : null;
  const { published, acknowledged } = stats;
  return [
    name,
    settings.type,
    ready,
    unacked,
    consumers.size,
    memoryOf(queue),
    receivedAt,
    published,
    deliverGet(stats),
    acknowledged,
  ];
}

/** Describes a queue with its memory, and with its counters since the start, from which a client computes rates. */
export function countedRow(queue: Queue, node: string): Row {
  const { published, acknowledged } = queue.stats;
  return {
    ...queueRow(queue, node),
    memory: memoryOf(queue),
    message_stats: { publish: published, deliver_get: deliverGet(queue.stats), ack: acknowledged },
  };
}

/**
 * When the oldest ready message arrived, in milliseconds since 1970. These members are not RabbitMQ's, whose
 * `head_message_timestamp` is the property `timestamp` of a message.
 */
function receivedAt({ oldest }: Queue): Row {
  if (oldest === undefined) return { oldest_message_received_timestamp: null };
  const { time, isExact } = oldest;
  return isExact
    ? { oldest_message_received_timestamp: time }
    : { oldest_message_received_timestamp: null, oldest_message_received_before: time };
}
