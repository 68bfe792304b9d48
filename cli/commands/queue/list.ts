import { listQueues, type QueueInfo } from "../../../lib/amqp/client/management.ts";
import { httpUrls } from "../../../lib/amqp/client/near_leader.ts";
import { inspectQueues } from "../../../lib/amqp/client/peek.ts";
import examples from "../../cheats/queue-list.md" with { type: "text" };
import { command, flag, group } from "../../app/command.ts";
import { visible } from "../../app/text.ts";
import { broker, http } from "../../options/broker.ts";
import { checkNames } from "../../queue/existence.ts";
import { matchesName } from "../../queue/name_pattern.ts";
import { type BrokerTarget, targetOf, withConnection } from "../../queue/target.ts";
import { print } from "./print.ts";

const COLUMNS = ["name", "type", "ready", "unacked", "consumers"];

export default command({
  argument: ["[pattern]", "list only the queues with matching names; * stands for any text"],
  options: {
    ...broker,
    ...http,
    ...group("Output", {
      json: flag("-J, --json", "one JSON object per line, with all properties that the broker reports"),
      watch: flag("--watch", "show a live table on the terminal, as queue top does"),
    }),
  },
  examples,
  async action({ session, values, operands }) {
    checkNames(operands);
    const pattern = operands[0];
    if (values.watch) {
      const { watch } = await import("../../queue/top/watch.ts");
      return await watch(session, values, { pattern, json: values.json, sort: "name" });
    }
    let queues = await all(targetOf(session, values));
    if (pattern !== undefined) queues = queues.filter(({ name }) => matchesName(pattern, name));
    queues.sort((a, b) => a.name < b.name ? -1 : 1);
    if (values.json) await print(session, queues.map((queue) => JSON.stringify(queue)));
    else await print(session, table([COLUMNS, ...queues.map(row)]));
  },
});

/** Our own broker lists its queues over AMQP, other brokers only over HTTP. */
async function all(target: BrokerTarget): Promise<QueueInfo[]> {
  const { brokers, link } = target;
  const broker = brokers[0]!;
  if (link.http !== undefined) return await listQueues(link.http, broker);
  let queues: QueueInfo[] | undefined;
  await withConnection(target, async (connection) => {
    if (connection.peeks) queues = await inspectQueues(connection);
  });
  return queues ?? await listQueues(httpUrls(brokers, link), broker);
}

function row(queue: QueueInfo): string[] {
  const { name, type, messages_ready, messages_unacknowledged, consumers } = queue;
  return [
    visible(name),
    type ?? "classic",
    ...[messages_ready, messages_unacknowledged, consumers].map((n) => `${n ?? 0}`),
  ];
}

/** Formats columns; the numbers, which are all columns but the first two, are aligned to the right. */
function table(rows: readonly string[][]): string[] {
  const widths = COLUMNS.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)));
  return rows.map((row) =>
    row.map((cell, at) => at < 2 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!)).join("  ")
  );
}
