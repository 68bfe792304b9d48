/** Whether the nodes of a queue suffice. */
import type { NodeInfo, QueueInfo } from "../../../lib/amqp/client/management.ts";
import type { Finding } from "./report.ts";

/**
 * Counts only the members whose nodes are up as online: a queue without a leader does not report a change.
 *
 * @param nodes undefined if they are not known
 */
export function withNodes(info: QueueInfo, nodes: readonly NodeInfo[] | undefined): QueueInfo {
  if (nodes === undefined) return info;
  const down = new Set(nodes.filter(({ running }) => !running).map(({ name }) => name));
  // RabbitMQ reports no members of a stream without a leader.
  if (info.online === undefined) return down.has(info.node ?? "") ? { ...info, state: "down" } : info;
  return { ...info, online: info.online.filter((name) => !down.has(name)) };
}

/**
 * Finds out what is wrong with the nodes of a queue.
 *
 * @returns undefined if nothing is wrong, or nothing is known; the text has no subject
 */
export function findMembers({ state, node, members, online }: QueueInfo): Finding | undefined {
  if (members === undefined || online === undefined) {
    return state === "down" ? { severity: "critical", text: `its node '${node}' is down` } : undefined;
  }
  const up = `${online.length} of its ${members.length} nodes ${online.length === 1 ? "is" : "are"} up`;
  const majority = Math.floor(members.length / 2) + 1;
  if (online.length < majority) return { severity: "critical", text: `only ${up}, which is no majority` };
  // A queue whose nodes are all up is as safe as it was declared.
  if (online.length === members.length || online.length > majority) return undefined;
  return { severity: "warning", text: `${up}: it needs all of them` };
}
