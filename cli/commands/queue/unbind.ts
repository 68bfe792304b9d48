import examples from "../../cheats/queue-unbind.md" with { type: "text" };
import { command, group, list } from "../../command.ts";
import { UsageError } from "../../errors.ts";
import { diagnostics } from "../../options.ts";
import { argument, broker, queueSession, targetOf, withConnection } from "../../queue.ts";
import { text } from "../../values.ts";

const binding = group("Binding", {
  topic: list("-t, --topic <key>", "the binding key (repeats); without it the empty one", text),
  argument: list("-a, --argument <name=value>", "an argument, for headers exchanges (repeats)", argument),
});

export default command({
  argument: ["<words...>", "QUEUE EXCHANGE: what no longer gets them, and of which exchange"],
  options: { ...broker, ...binding, ...diagnostics },
  examples,
  action(values, operands) {
    const [queue, exchange] = operands;
    if (queue === undefined || exchange === undefined || operands.length > 2) {
      throw new UsageError(
        "expected a queue and an exchange (try: mqcat queue unbind jobs amq.topic -t 'job.#')",
      );
    }
    const session = queueSession("unbind", values);
    return session.run(() =>
      withConnection(targetOf(session, values), async (connection) => {
        const channel = await connection.open();
        for (const routingKey of values.topic.length === 0 ? [""] : values.topic) {
          const args = { queue, exchange, routingKey, arguments: Object.fromEntries(values.argument) };
          await channel.call("queue.unbind", args, "queue.unbind-ok");
        }
      })
    );
  },
});
