import examples from "../../cheats/queue-bind.md" with { type: "text" };
import { command, group, list } from "../../app/command.ts";
import { text } from "../../app/values.ts";
import { broker } from "../../options/broker.ts";
import { checkNames, refuseEmptyKeys } from "../../queue/existence.ts";
import { argument, targetOf, withConnection } from "../../queue/target.ts";

const binding = group("Binding", {
  topic: list("-t, --topic <key>", "the binding key (repeats; default: the empty key)", text),
  argument: list("-a, --argument <name=value>", "an argument, for headers exchanges (repeats)", argument),
});

/** `queue bind` and `queue unbind`, which differ only in the method. */
export function bindingCommand(verb: "bind" | "unbind", operands: string, examples: string) {
  return command({
    argument: ["<queue> <exchange>", operands],
    options: { ...broker, ...binding },
    examples,
    action({ session, values, operands: [queue = "", exchange = ""] }) {
      checkNames([queue]);
      checkNames([exchange], "an exchange");
      refuseEmptyKeys(values.topic);
      return withConnection(targetOf(session, values), async (connection) => {
        const channel = await connection.open();
        for (const routingKey of values.topic.length === 0 ? [""] : values.topic) {
          const args = { queue, exchange, routingKey, arguments: Object.fromEntries(values.argument) };
          if (verb === "bind") await channel.call("queue.bind", args, "queue.bind-ok");
          else await channel.call("queue.unbind", args, "queue.unbind-ok");
        }
      });
    },
  });
}

export default bindingCommand(
  "bind",
  "the queue to bind, and the exchange",
  examples,
);
