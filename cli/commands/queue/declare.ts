import { declareQueue } from "../../../lib/amqp/client/queues.ts";
import examples from "../../cheats/queue-declare.md" with { type: "text" };
import { command, flag, group, list, option } from "../../app/command.ts";
import { oneOf } from "../../app/values.ts";
import { broker } from "../../options/broker.ts";
import { refuseEmptyNames } from "../../queue/existence.ts";
import { argument, targetOf, withConnection } from "../../queue/target.ts";

const kind = group("Queue", {
  type: option(
    "--type <type>",
    "classic, quorum or stream (default: that of the broker)",
    oneOf("classic", "quorum", "stream"),
  ),
  argument: list("-a, --argument <name=value>", "an argument, such as x-max-length=1000 (repeats)", argument),
  notDurable: flag("--not-durable", "remove the queue when the broker restarts"),
  autoDelete: flag("--auto-delete", "remove the queue with its last consumer"),
});

export default command({
  argument: ["<queue...>", "the queues to declare; they are durable without --not-durable"],
  options: { ...broker, ...kind },
  examples,
  action({ session, values, operands }) {
    refuseEmptyNames(operands);
    const args = Object.fromEntries(values.argument);
    if (values.type !== undefined) args["x-queue-type"] = values.type;
    return withConnection(targetOf(session, values, true), async (connection) => {
      for (const queue of operands) {
        await declareQueue(connection, queue, {
          durable: !values.notDurable,
          autoDelete: values.autoDelete ?? false,
          arguments: args,
        });
      }
    });
  },
});
