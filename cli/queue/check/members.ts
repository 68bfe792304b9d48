/** Whether the nodes of a queue suffice. */
import type { QueueInfo } from "../../../lib/amqp/client/management.ts";
import type { Finding } from "./report.ts";

/**
 * Finds out what is wrong with the nodes of a queue.
 *
 * @returns undefined if nothing is wrong, or nothing is known; the text has no subject
 */
export function findMembers({ type, state, node, members, online }: QueueInfo): Finding | undefined {
  if (type !== "quorum" && type !== "stream") {
    return state === "down" ? { severity: "critical", text: `its node '${node}' is down` } : undefined;
  }
  if (members === undefined || online === undefined) return undefined;
  const up = `${online.length} of its ${members.length} nodes ${online.length === 1 ? "is" : "are"} up`;
  const majority = Math.floor(members.length / 2) + 1;
  if (online.length < majority) return { severity: "critical", text: `only ${up}, which is no majority` };
  // A queue whose nodes are all up is as safe as it was declared.
  if (online.length === members.length || online.length > majority) return undefined;
  return { severity: "warning", text: `${up}: it needs all of them` };
}
