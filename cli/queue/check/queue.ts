/** Checks one queue. */
import type { AmqpConnection } from "../../../lib/amqp/client/connection.ts";
import { listNodes, type NodeInfo, type QueueInfo, queueInfo } from "../../../lib/amqp/client/management.ts";
import { inspectQueues } from "../../../lib/amqp/client/peek.ts";
import { countReady, findQueue, type QueueState } from "../../../lib/amqp/client/queues.ts";
import type { BrokerAddress } from "../../../lib/amqp/client/url.ts";
import { MqcatError, RefusedError } from "../../../lib/errors.ts";
import { AwayError } from "../../../lib/link/away.ts";
import { type Age, ageOf } from "./age.ts";
import { findMembers, withNodes } from "./members.ts";
import type { Figure, Finding, Report } from "./report.ts";

/** The limits of a queue; the age is in milliseconds. */
export interface QueueLimits {
  readonly maxReady: number | undefined;
  readonly minConsumers: number | undefined;
  readonly maxAge: number | undefined;
}

/** Where to ask about a queue. */
export interface QueueSource {
  readonly connection: AmqpConnection;
  readonly broker: BrokerAddress;
  /** The URLs of the HTTP API, and whether they were given. */
  readonly http: readonly string[];
  readonly isHttpGiven: boolean;
  /** The time limit for each request to the HTTP API, in milliseconds. */
  readonly limit: number;
}

/**
 * Checks a queue. AMQP has the current numbers of messages and consumers; members and the age of a message are known over
 * HTTP, or from mqcat's own broker.
 *
 * @throws {UnreachableError | RefusedError} the HTTP API that was given does not answer
 */
export async function checkQueue(source: QueueSource, queue: string, limits: QueueLimits): Promise<Report> {
  const about = subjectOf(queue, source.broker.vhost);
  const state = await stateOf(source.connection, queue);
  if (typeof state === "string") return { ...about, ...withoutNumbers(state) };
  const info = await infoOf(source, queue);
  const members = info && findMembers(info);
  const nodes = memberFigures(info);
  // The numbers of a queue without a majority are wrong: RabbitMQ answers 0.
  if (members?.severity === "critical") return { ...about, ...withoutNumbers(members.text), figures: nodes };
  if (info === undefined) {
    try {
      await countReady(source.connection, queue);
    } catch (error) {
      if (error instanceof AwayError) return { ...about, ...withoutNumbers(wordsOf(error, queue)) };
      throw error;
    }
  }
  const age = ageOf(info, state.messageCount, source.connection.peeks);
  return {
    ...about,
    summary: summaryOf(state, age, info),
    findings: [...members === undefined ? [] : [members], ...compare(state, age, limits)],
    figures: [...figuresOf(state, age, limits), ...nodes],
  };
}

/** Names a queue in a report. @param vhost undefined if it is not known */
export function subjectOf(queue: string, vhost?: string): Pick<Report, "subject" | "labels"> {
  return { subject: `queue '${queue}'`, labels: { ...(vhost === undefined ? {} : { vhost }), queue } };
}

/** The part of the report about a queue that cannot be used. */
function withoutNumbers(text: string): Omit<Report, "subject" | "labels"> {
  return { summary: "", findings: [{ severity: "critical", text }], figures: [] };
}

/** The numbers that AMQP reports, or why the queue cannot be used. */
async function stateOf(connection: AmqpConnection, queue: string): Promise<QueueState | string> {
  try {
    return await findQueue(connection, queue) ?? "it does not exist";
  } catch (error) {
    if (error instanceof AwayError) return wordsOf(error, queue);
    throw error;
  }
}

/** The words of an error, without the name of the queue. */
function wordsOf({ message }: AwayError, queue: string): string {
  return message.replace(`queue '${queue}' is `, "");
}

/** @returns undefined where only AMQP answers */
async function infoOf(
  { connection, broker, http, isHttpGiven, limit }: QueueSource,
  queue: string,
): Promise<QueueInfo | undefined> {
  if (connection.peeks && !isHttpGiven) {
    return (await inspectQueues(connection)).find(({ name }) => name === queue);
  }
  try {
    const info = await queueInfo(http, broker, queue, limit);
    const isReplicated = info.type === "quorum" || info.type === "stream";
    return isReplicated ? withNodes(info, await nodesOf(http, broker, limit)) : info;
  } catch (error) {
    if (isHttpGiven || !(error instanceof MqcatError)) throw error;
    return undefined;
  }
}

/** @returns undefined for a user who may not list the nodes */
async function nodesOf(
  http: readonly string[],
  broker: BrokerAddress,
  limit: number,
): Promise<NodeInfo[] | undefined> {
  try {
    return await listNodes(http, broker, limit);
  } catch (error) {
    if (error instanceof RefusedError) return undefined;
    throw error;
  }
}

function compare(
  { messageCount, consumerCount }: QueueState,
  age: Age,
  { maxReady = Infinity, minConsumers = 0, maxAge = Infinity }: QueueLimits,
): Finding[] {
  const findings: Finding[] = [];
  if (messageCount > maxReady) {
    findings.push({ severity: "critical", text: `${messageCount} ready (maximum: ${maxReady})` });
  }
  if (consumerCount < minConsumers) {
    findings.push({ severity: "critical", text: `${consumers(consumerCount)} (minimum: ${minConsumers})` });
  }
  const { ms, isExact, reason } = age;
  if (ms !== undefined && ms > maxAge) {
    const text = `oldest message ${isExact ? "" : "at least "}${shown(ms)} (maximum: ${shown(maxAge)})`;
    findings.push({ severity: "critical", text });
  } else if (!isExact && maxAge < Infinity) {
    findings.push({ severity: "unknown", text: `the age of the oldest message is not known: ${reason}` });
  }
  return findings;
}

function figuresOf(
  { messageCount, consumerCount }: QueueState,
  { ms, isExact }: Age,
  { maxReady, minConsumers, maxAge }: QueueLimits,
): Figure[] {
  return [
    { name: "messages_ready", value: messageCount, max: maxReady },
    { name: "consumers", value: consumerCount, min: minConsumers },
    ...(ms === undefined || !isExact ? [] : [{
      name: "oldest_message_age_seconds",
      value: Math.round(ms) / 1000,
      max: maxAge === undefined ? undefined : maxAge / 1000,
    }]),
  ];
}

function memberFigures(info: QueueInfo | undefined): Figure[] {
  const { members, online } = info ?? {};
  if (members === undefined || online === undefined) return [];
  return [{ name: "members", value: members.length }, { name: "members_online", value: online.length }];
}

function summaryOf(
  { messageCount, consumerCount }: QueueState,
  { ms, isExact }: Age,
  info: QueueInfo | undefined,
): string {
  const parts = [`${messageCount} ready`, consumers(consumerCount)];
  if (ms !== undefined && messageCount > 0) {
    parts.push(`oldest message ${isExact ? "" : "at least "}${shown(ms)}`);
  }
  if (info?.members !== undefined && info.online !== undefined) {
    parts.push(`${info.online.length} of ${info.members.length} nodes`);
  }
  if (info === undefined) parts.push("the HTTP API does not answer: age and nodes are not known");
  return parts.join(", ");
}

function consumers(count: number): string {
  return `${count} consumer${count === 1 ? "" : "s"}`;
}

/** `45 s`, `12 min`, `3.5 h`. */
function shown(ms: number): string {
  const [unit, size] = ms < 120_000
    ? ["s", 1000]
    : ms < 7_200_000
    ? ["min", 60_000]
    : ms < 172_800_000
    ? ["h", 3_600_000]
    : ["d", 86_400_000];
  return `${Math.round(ms / (size as number) * 10) / 10} ${unit}`;
}
