import { askFirst, askList, unusable } from "./http_api.ts";
import type { BrokerAddress } from "./url.ts";

/** A queue as the HTTP API describes it. Some brokers leave out some properties. */
export interface QueueInfo {
  readonly name: string;
  readonly vhost: string;
  readonly type?: string;
  readonly durable?: boolean;
  readonly auto_delete?: boolean;
  readonly exclusive?: boolean;
  readonly arguments?: Record<string, unknown>;
  readonly state?: string;
  readonly messages?: number;
  readonly messages_ready?: number;
  readonly messages_unacknowledged?: number;
  readonly message_bytes?: number;
  readonly consumers?: number;
  /** The node of the leader, or of a classic queue. */
  readonly node?: string;
  /** The leader of a quorum queue. */
  readonly leader?: string;
  /** The nodes with a copy of a quorum queue or a stream. */
  readonly members?: readonly string[];
  /** Those that are up. */
  readonly online?: readonly string[];
  readonly delivery_limit?: number;
  /** The time in the property `timestamp` of the first message, in seconds since 1970. */
  readonly head_message_timestamp?: number | null;
  /** When the oldest ready message arrived, in milliseconds since 1970; only of mqcat's own broker. */
  readonly oldest_message_received_timestamp?: number | null;
  /** A time before which it arrived, in milliseconds since 1970, if the time itself is not known; likewise. */
  readonly oldest_message_received_before?: number;
  /** The merged definition of the policies that apply; RabbitMQ knows it some seconds after the declaration. */
  readonly effective_policy_definition?: Record<string, unknown>;
}

/** A node as the HTTP API describes it. */
export interface NodeInfo {
  readonly name: string;
  readonly running: boolean;
  /** The nodes that it has no connection to. */
  readonly partitions?: readonly string[];
  readonly mem_alarm?: boolean;
  readonly disk_free_alarm?: boolean;
  /** Why it accepts no messages; only of mqcat's own broker over AMQP. */
  readonly blocked?: string | null;
}

/** The delivery limit of a queue: the smaller one of its argument and its policies. */
export function deliveryLimitOf(info: QueueInfo): number | undefined {
  // RabbitMQ 4 reports the limit that applies, which has a default there.
  const { delivery_limit: reported, arguments: args, effective_policy_definition: policy } = info;
  const limits = [reported ?? args?.["x-delivery-limit"], policy?.["delivery-limit"]]
    .filter((limit): limit is number => typeof limit === "number" && limit >= 0);
  return limits.length === 0 ? undefined : Math.min(...limits);
}

/** An exchange as the HTTP API describes it. */
export interface ExchangeInfo {
  /** Empty: the default exchange. */
  readonly name: string;
  readonly type: string;
}

/** The default URL of a broker's HTTP API, with RabbitMQ's ports. */
export function managementUrl({ endpoint }: BrokerAddress): string {
  if (endpoint.scheme === "inproc") {
    throw unusable("Cannot use the HTTP API as a broker in this process has none");
  }
  const host = endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host;
  return endpoint.scheme === "tls" ? `https://${host}:15671` : `http://${host}:15672`;
}

/**
 * Lists the queues of the broker's virtual host. A classic queue whose node is down is only found here.
 *
 * @param bases URLs of the HTTP API; the first one that answers is used
 */
export async function listQueues(bases: readonly string[], broker: BrokerAddress): Promise<QueueInfo[]> {
  return await askList(bases, broker, `queues/${encodeURIComponent(broker.vhost)}`);
}

/** The properties that a check needs. */
const NODE_COLUMNS = "name,running,partitions,mem_alarm,disk_free_alarm";
const QUEUE_COLUMNS = "name,vhost,type,state,node,members,online";

/** Lists the nodes of the cluster. RabbitMQ needs a user with the tag `monitoring` for it. @param bases as for `listQueues` */
export function listNodes(
  bases: readonly string[],
  broker: BrokerAddress,
  limit?: number,
): Promise<NodeInfo[]> {
  return askList(bases, broker, `nodes?columns=${NODE_COLUMNS}`, limit);
}

/** Lists the queues of all virtual hosts, with their members. @param bases as for `listQueues` */
export function listAllQueues(
  bases: readonly string[],
  broker: BrokerAddress,
  limit?: number,
): Promise<QueueInfo[]> {
  return askList(bases, broker, `queues?columns=${QUEUE_COLUMNS}`, limit);
}

/** Lists the exchanges of the broker's virtual host. @param bases as for `listQueues` */
export async function listExchanges(
  bases: readonly string[],
  broker: BrokerAddress,
): Promise<ExchangeInfo[]> {
  return await askList(bases, broker, `exchanges/${encodeURIComponent(broker.vhost)}`);
}

/** Describes one queue. @param bases as for `listQueues` */
export async function queueInfo(
  bases: readonly string[],
  broker: BrokerAddress,
  queue: string,
  limit?: number,
): Promise<QueueInfo> {
  const path = `queues/${encodeURIComponent(broker.vhost)}/${encodeURIComponent(queue)}`;
  return await askFirst(bases, broker, path, limit) as QueueInfo;
}

/** Returns the definitions of the broker's virtual host, in RabbitMQ's format. @param bases as for `listQueues` */
export async function readDefinitions(
  bases: readonly string[],
  broker: BrokerAddress,
): Promise<{ readonly [name: string]: unknown }> {
  const path = `definitions/${encodeURIComponent(broker.vhost)}`;
  return await askFirst(bases, broker, path) as Record<string, unknown>;
}

/** Adds definitions to the broker's virtual host. @param bases as for `listQueues` */
export async function addDefinitions(
  bases: readonly string[],
  broker: BrokerAddress,
  definitions: { readonly [name: string]: unknown },
): Promise<void> {
  await askFirst(bases, broker, `definitions/${encodeURIComponent(broker.vhost)}`, undefined, definitions);
}
