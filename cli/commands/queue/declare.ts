import { declareQueue } from "../../../lib/amqp/client/queues.ts";
import examples from "../../cheats/queue-declare.md" with { type: "text" };
import { command, flag, group, list, option } from "../../app/command.ts";
import { duration, integer, oneOf, size } from "../../app/values.ts";
import { broker } from "../../options/broker.ts";
import { argumentsOf } from "../../queue/arguments.ts";
import { checkNames } from "../../queue/existence.ts";
import { argument, targetOf, withConnection } from "../../queue/target.ts";

const kind = group("Queue", {
  type: option(
    "--type <type>",
    "classic, quorum or stream (default: the default of the broker)",
    oneOf("classic", "quorum", "stream"),
  ),
  quorum: flag("--quorum", "the same as --type quorum"),
  stream: flag("--stream", "the same as --type stream"),
  argument: list("-a, --argument <name=value>", "an argument, such as x-max-length=1000 (repeats)", argument),
  notDurable: flag("--not-durable", "remove the queue when the broker restarts"),
  autoDelete: flag("--auto-delete", "remove the queue with its last consumer"),
});

const limits = group("Limits", {
  maxBytes: option(
    "--max-length-bytes <size>",
    "maximum size of all messages together, such as 10G; the oldest ones are removed",
    size,
  ),
  members: option(
    "--members <number>",
    "quorum queue or stream: the number of nodes that have a copy",
    integer(1),
  ),
  deliveryLimit: option(
    "--delivery-limit <number>",
    "quorum queue: how often a message can be returned before it is dead-lettered or dropped",
    integer(0, 2 ** 31 - 1),
  ),
  maxAge: option("--max-age <duration>", "stream: remove older messages, such as 7d", duration),
  segmentSize: option(
    "--segment-size <size>",
    "stream: the size of its files, such as 100M; whole files are removed",
    size,
  ),
});

export default command({
  argument: ["<queue...>", "the queues to declare; durable unless --not-durable is given"],
  options: { ...broker, ...kind, ...limits },
  examples,
  action({ session, values, operands }) {
    checkNames(operands);
    const args = argumentsOf(values);
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
