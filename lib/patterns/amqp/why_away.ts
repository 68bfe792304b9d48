/** Why messages for a queue or an exchange are not taken for now. RabbitMQ gives no reason with a return or a nack. */
import { awayError } from "../../amqp/client/availability.ts";
import type { AmqpConnection } from "../../amqp/client/connection.ts";
import { askList } from "../../amqp/client/http_api.ts";
import type { QueueInfo } from "../../amqp/client/management.ts";
import { type ClusterOptions, httpUrls } from "../../amqp/client/near_leader.ts";
import type { PublisherOptions } from "../../amqp/client/publisher.ts";
import { findQueue, queueArguments } from "../../amqp/client/queues.ts";
import type { BrokerAddress } from "../../amqp/client/url.ts";
import { MqcatError } from "../../errors.ts";
import { AwayError } from "../../link/away.ts";
import type { Rejection } from "../../link/publisher_options.ts";

/** The time limit for a request to the HTTP API of each host, in milliseconds: publishing stops for it. */
const LIMIT_MS = 5000;
/** The properties of queues that matter here. */
const COLUMNS = "name,type,state,node,members,online,arguments,effective_policy_definition";

/** Whether a full queue is away, too. */
export interface RoomOptions {
  /** Whether messages that a full queue refuses are published again until it has room for them. Default: false */
  readonly waitsForRoom?: boolean | undefined;
}

/**
 * Keeps messages that come back or are refused while the queue is away, or one that may be bound to the exchange: they are
 * published again when it is back. The HTTP API is asked, where it answers.
 */
export function keeping<O extends PublisherOptions & ClusterOptions & RoomOptions>(
  brokers: readonly BrokerAddress[],
  options: O,
): O {
  return {
    ...options,
    reconsider: async (connection: AmqpConnection, rejection: Rejection) => {
      const away = await whyAway(brokers, options, connection, rejection);
      const isFull = away === undefined && options.waitsForRoom && rejection.outcome === "refused";
      return isFull ? await whyFull(connection, rejection) : away;
    },
  };
}

async function whyAway(
  brokers: readonly BrokerAddress[],
  options: ClusterOptions,
  connection: AmqpConnection,
  { outcome, envelope }: Rejection,
): Promise<AwayError | undefined> {
  // mqcat's own broker has one node: its queues are never away. A blocked one refuses messages itself.
  const isBlocked = outcome === "refused" && connection.blocked !== undefined;
  if (connection.peeks || isBlocked || envelope === undefined) return undefined;
  const ask = <T>(path: string) => askQuietly<T>(brokers, options, path);
  const { exchange, routingKey } = envelope;
  return exchange === ""
    ? await whyQueue(connection, routingKey, outcome, ask)
    : await whyExchange(exchange, routingKey, outcome, ask);
}

/** Why a queue that is not away refuses messages; undefined if it does not exist. */
async function whyFull(
  connection: AmqpConnection,
  { envelope }: Rejection,
): Promise<AwayError | undefined> {
  if (envelope === undefined || await findQueue(connection, envelope.routingKey) === undefined) {
    return undefined;
  }
  const reason = connection.blocked ?? "it is full";
  return new AwayError(`queue '${envelope.routingKey}' accepts no messages for now: ${reason}`);
}

/** Asks the HTTP API for a list. @returns undefined where it does not answer */
type Ask = <T>(path: string) => Promise<T[] | undefined>;

async function askQuietly<T>(
  brokers: readonly BrokerAddress[],
  options: ClusterOptions,
  path: string,
): Promise<T[] | undefined> {
  try {
    const vhost = encodeURIComponent(brokers[0]!.vhost);
    return await askList<T>(httpUrls(brokers, options), brokers[0]!, path.replace("VHOST", vhost), LIMIT_MS);
  } catch (error) {
    if (error instanceof MqcatError) return undefined;
    throw error;
  }
}

async function whyQueue(
  connection: AmqpConnection,
  queue: string,
  outcome: Rejection["outcome"],
  ask: Ask,
): Promise<AwayError | undefined> {
  try {
    const state = await findQueue(connection, queue);
    if (state === undefined) return undefined;
    if (outcome === "returned") return awayError(queue, "messages came back");
    const info = (await ask<QueueInfo>(`queues/VHOST?columns=${COLUMNS}`))?.find(({ name }) =>
      name === queue
    );
    const reason = info && whyDown(info);
    if (reason !== undefined) return awayError(queue, reason);
    const args = info?.arguments ?? await queueArguments(connection, queue) ?? {};
    const policy = info?.effective_policy_definition;
    const isFull = rejects({ ...info, arguments: args });
    // A quorum queue without a leader reports neither messages nor consumers.
    const hasAnswered = info !== undefined || args["x-queue-type"] !== "quorum" ||
      state.messageCount + state.consumerCount > 0;
    if (isFull && hasAnswered) return undefined;
    if (policy !== undefined) return awayError(queue, "it refuses messages");
    const meaning = isFull ? "" : ", or a policy limits its length, and the limit is reached";
    return awayError(queue, `too few of its nodes are up${meaning}`);
  } catch (error) {
    if (error instanceof AwayError) return error;
    throw error;
  }
}

async function whyExchange(
  exchange: string,
  routingKey: string,
  outcome: Rejection["outcome"],
  ask: Ask,
): Promise<AwayError | undefined> {
  const away = (what: string) => new AwayError(`exchange '${exchange}' ${what}`);
  const verb = outcome === "returned" ? "has no queue for" : "refuses";
  const text = `${verb} messages with the routing key '${routingKey}' for now`;
  const all = await ask<QueueInfo>(`queues/VHOST?columns=${COLUMNS}`);
  if (all === undefined) return undefined;
  const bound = outcome === "returned" ? [] : await boundQueues(exchange, all, ask);
  // The bindings of a classic queue are away with its node.
  for (const info of [...all.filter(({ state }) => state === "down"), ...bound]) {
    const reason = whyDown(info);
    if (reason !== undefined) {
      return away(`${text}: queue '${info.name}' may be bound to it, and ${reason}`);
    }
  }
  return outcome === "returned" || bound.some(rejects) ? undefined : away(text);
}

/** The queues that are bound to an exchange; all queues if it is bound to other exchanges. */
async function boundQueues(
  exchange: string,
  all: readonly QueueInfo[],
  ask: Ask,
): Promise<readonly QueueInfo[]> {
  const path = `exchanges/VHOST/${encodeURIComponent(exchange)}/bindings/source`;
  const bindings = await ask<{ readonly destination: string; readonly destination_type: string }>(path) ?? [];
  if (bindings.some((binding) => binding.destination_type === "exchange")) return all;
  const names = new Set(bindings.map(({ destination }) => destination));
  return all.filter(({ name }) => names.has(name));
}

/** Whether a queue refuses messages when it is full. */
function rejects({ arguments: args, effective_policy_definition: policy }: Partial<QueueInfo>): boolean {
  return [args?.["x-overflow"], policy?.["overflow"]].some((value) =>
    `${value}`.startsWith("reject-publish")
  );
}

/** Why a queue is away, by what the HTTP API says about it. */
function whyDown({ state, node, type, members, online }: QueueInfo): string | undefined {
  if (state === "down") return `its node '${node}' is down`;
  if (type !== "quorum" || members === undefined || online === undefined) return undefined;
  if (online.length * 2 > members.length) return undefined;
  return `only ${online.length} of its ${members.length} nodes ${online.length === 1 ? "is" : "are"} up`;
}
