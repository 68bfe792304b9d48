import { listQueues, managementUrl, type QueueInfo } from "../../../lib/amqp/client/management.ts";
import examples from "../../cheats/queue-list.md" with { type: "text" };
import { command, flag, group } from "../../command.ts";
import { diagnostics } from "../../options.ts";
import { broker, http, httpOf, queueSession, targetOf } from "../../queue.ts";
import { print } from "./print.ts";

const COLUMNS = ["name", "type", "ready", "unacked", "consumers"];

export default command({
  options: {
    ...broker,
    ...http,
    ...group("Output", {
      json: flag("-J, --json", "one JSON object a line, with all that the broker tells"),
    }),
    ...diagnostics,
  },
  examples,
  action(values) {
    const session = queueSession("list", values);
    return session.run(async () => {
      const [broker] = targetOf(session, values).brokers;
      const queues = await listQueues(httpOf(values) ?? managementUrl(broker!), broker!);
      queues.sort((a, b) => a.name < b.name ? -1 : 1);
      if (values.json) await print(session, queues.map((queue) => JSON.stringify(queue)));
      else await print(session, table([COLUMNS, ...queues.map(row)]));
    });
  },
});

function row(queue: QueueInfo): string[] {
  const { name, type, messages_ready, messages_unacknowledged, consumers } = queue;
  return [
    name,
    type ?? "classic",
    ...[messages_ready, messages_unacknowledged, consumers].map((n) => `${n ?? 0}`),
  ];
}

/** Columns side by side; numbers, which are all but the first two, to the right. */
function table(rows: readonly string[][]): string[] {
  const widths = COLUMNS.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)));
  return rows.map((row) =>
    row.map((cell, at) => at < 2 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!)).join("  ")
  );
}
