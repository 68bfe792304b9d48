/** Where messages were moved to, and why others stay. */
import { messages } from "../app/tally.ts";

/** The maximum number of queues in a report. */
const NAMED = 5;

/** `: 3 to 'one', 1 to 'two'`; empty if there are none. */
export function placesText(targets: Iterable<readonly [queue: string, count: number]>): string {
  const all = [...targets];
  const named = all.slice(0, NAMED).map(([name, count]) => `${count} to '${name}'`);
  if (all.length > NAMED) named.push(`others to ${all.length - NAMED} more queues`);
  return named.length === 0 ? "" : `: ${named.join(", ")}`;
}

/** @param note what else is to be known about those that stay */
export function stayText(
  count: number,
  queue: string,
  reasons: Iterable<readonly [reason: string, count: number]>,
  note = "",
): string {
  const list = [...reasons].map(([reason, count]) => `${count} ${reason}`).join(", ");
  return `${messages(count)} ${
    count === 1 ? "stays" : "stay"
  } in '${queue}': ${list}${note} (--to QUEUE moves them there)`;
}
