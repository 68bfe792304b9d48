/** Checks a broker: a node, or all nodes of a cluster. */
import type { AmqpConnection } from "../../../lib/amqp/client/connection.ts";
import {
  listAllQueues,
  listNodes,
  type NodeInfo,
  type QueueInfo,
} from "../../../lib/amqp/client/management.ts";
import { inspectNodes, inspectQueues } from "../../../lib/amqp/client/peek.ts";
import { findMembers, withNodes } from "./members.ts";
import type { QueueSource } from "./queue.ts";
import type { Finding, Report } from "./report.ts";

/** The maximum number of queues that a finding names. */
const NAMED = 3;

/** @throws {UnreachableError | RefusedError} the HTTP API does not answer, or refuses the user */
export async function checkBroker(source: QueueSource): Promise<Report> {
  const { connection, broker, http, isHttpGiven, limit } = source;
  const isAsked = connection.peeks && !isHttpGiven;
  const nodes = isAsked ? await inspectNodes(connection) : await listNodes(http, broker, limit);
  const queues = isAsked ? await inspectQueues(connection) : await listAllQueues(http, broker, limit);
  const down = nodes.filter(({ running }) => !running);
  const alarms = nodes.flatMap(alarmsOf);
  const partitions = nodes.flatMap(partitionsOf);
  const troubled = queues.map((queue) => ({ queue, finding: findMembers(withNodes(queue, nodes)) }));
  const lost = troubled.filter(({ finding }) => finding?.severity === "critical").map(({ queue }) => queue);
  const risky = troubled.filter(({ finding }) => finding?.severity === "warning").map(({ queue }) => queue);
  const findings = [
    ...alarms,
    ...partitions,
    ...named(lost, "critical", "is not available", "are not available"),
    ...down.map(({ name }): Finding => ({ severity: "warning", text: `node '${name}' is down` })),
    ...named(risky, "warning", "needs all nodes that are up", "need all nodes that are up"),
  ];
  const up = nodes.length - down.length;
  return {
    subject: serverOf(connection),
    labels: {},
    summary: `${up} node${up === 1 ? "" : "s"}, ${queues.length} queue${queues.length === 1 ? "" : "s"}`,
    findings,
    figures: [
      { name: "nodes", value: nodes.length },
      { name: "nodes_down", value: down.length },
      { name: "alarms", value: alarms.length },
      { name: "partitions", value: partitions.length },
      { name: "queues", value: queues.length },
      { name: "queues_down", value: lost.length },
      { name: "queues_at_risk", value: risky.length },
    ],
  };
}

function serverOf({ server }: AmqpConnection): string {
  return server === "" ? "broker" : server;
}

function alarmsOf({ name, mem_alarm, disk_free_alarm, blocked }: NodeInfo): Finding[] {
  const texts: string[] = [];
  if (mem_alarm) texts.push(`node '${name}' has too little memory, and blocks publishers`);
  if (disk_free_alarm) texts.push(`node '${name}' has too little free disk space, and blocks publishers`);
  if (typeof blocked === "string") texts.push(`node '${name}' blocks publishers: ${blocked}`);
  return texts.map((text) => ({ severity: "critical", text }));
}

function partitionsOf({ name, partitions = [] }: NodeInfo): Finding[] {
  if (partitions.length === 0) return [];
  return [{ severity: "critical", text: `node '${name}' was partitioned from ${quoted(partitions)}` }];
}

/** One finding for queues with the same trouble. */
function named(
  queues: readonly QueueInfo[],
  severity: Finding["severity"],
  is: string,
  are: string,
): Finding[] {
  if (queues.length === 0) return [];
  const names = quoted(queues.slice(0, NAMED).map(({ name }) => name));
  if (queues.length === 1) return [{ severity, text: `queue ${names} ${is}` }];
  const more = queues.length > NAMED ? ` and ${queues.length - NAMED} more` : "";
  return [{ severity, text: `queues ${names}${more} ${are}` }];
}

function quoted(names: readonly string[]): string {
  return names.map((name) => `'${name}'`).join(", ");
}
