import { askFirst } from "../../../lib/amqp/client/http_api.ts";
import { httpUrls } from "../../../lib/amqp/client/near_leader.ts";
import { MqcatError } from "../../../lib/errors.ts";
import { subscribe } from "../../../lib/patterns/amqp/receive.ts";
import type { InletEvents } from "../../../lib/patterns/contract.ts";
import { SelectedInlet, Selection } from "../../../lib/patterns/selected_inlet.ts";
import examples from "../../cheats/queue-trace.md" with { type: "text" };
import { command, flag, group, option, readiness } from "../../app/command.ts";
import type { Session } from "../../app/session.ts";
import { word } from "../../app/values.ts";
import { getAll } from "../../brokers/get.ts";
import type { Origin } from "../../brokers/contract.ts";
import type { Output } from "../../io/output.ts";
import { broker, http } from "../../options/broker.ts";
import { ending } from "../../options/options.ts";
import { checkNames, requireExchange, requireQueue } from "../../queue/existence.ts";
import { type BrokerTarget, targetOf } from "../../queue/target.ts";
import { TRACE, traceFilter, traceKeys, traceWriter } from "../../queue/trace.ts";

export default command({
  options: {
    ...broker,
    ...http,
    ...group("Events", {
      queue: option("--queue <name>", "only events of this queue", word),
      connection: option(
        "--connection <text>",
        "only events of clients whose user name or address contains this text",
        word,
      ),
    }),
    ...group("Output", { json: flag("-J, --json", "one JSON record per line") }),
    ...ending,
    ...group("Timing", { count: { ...ending.count, description: "end after this number of events" } }),
    ...readiness,
  },
  examples,
  async action({ session, values }) {
    const { queue } = values;
    if (queue !== undefined) checkNames([queue]);
    const target = targetOf(session, values);
    const { brokers, link } = target;
    let isFound = queue === undefined;
    const open = (events: InletEvents, prefetch: number) =>
      subscribe({ brokers, name: TRACE }, {
        ...link,
        ...events,
        prefetch,
        topics: traceKeys(values),
        prepare: async (connection) => {
          await requireExchange(connection, TRACE);
          // A queue that is deleted later is no mistake.
          if (!isFound) await requireQueue(connection, queue!);
          isFound = true;
          if (!connection.peeks) await explainSilence(session, target);
        },
      });
    const selection = new Selection(traceFilter(values), "drop");
    const origin: Origin = {
      ...target,
      others: "drop",
      open: (events, prefetch) => new SelectedInlet(selection, (events) => open(events, prefetch), events),
    };
    const write = (output: Output) => traceWriter(output, values.json ?? false);
    await getAll(session, origin, write, { ...values, exec: undefined, jobs: undefined });
  },
});

/** RabbitMQ reports nothing until an operator turns its tracing on, which costs it throughput. */
async function explainSilence(session: Session, { brokers, link }: BrokerTarget): Promise<void> {
  const { vhost } = brokers[0]!;
  try {
    const path = `vhosts/${encodeURIComponent(vhost)}?columns=tracing`;
    const { tracing } = await askFirst(httpUrls(brokers, link), brokers[0]!, path) as { tracing?: boolean };
    if (tracing !== false) return;
    session.warn(
      `tracing is off in the virtual host '${vhost}': rabbitmqctl trace_on -p '${vhost}' turns it on`,
    );
  } catch (error) {
    if (!(error instanceof MqcatError)) throw error;
    session.warn(`RabbitMQ reports nothing unless tracing is on (rabbitmqctl trace_on -p '${vhost}')`);
  }
}
