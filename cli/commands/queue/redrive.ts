import type { Delivery } from "../../../lib/amqp/client/channel.ts";
import type { Envelope } from "../../../lib/amqp/client/publisher.ts";
import { findQueue } from "../../../lib/amqp/client/queues.ts";
import { decodeProperties, encodeProperties } from "../../../lib/amqp/properties.ts";
import type { FieldTable } from "../../../lib/amqp/types/field_value.ts";
import examples from "../../cheats/queue-redrive.md" with { type: "text" };
import { command, group } from "../../command.ts";
import { EXIT, UsageError } from "../../errors.ts";
import { diagnostics, ending } from "../../options.ts";
import { broker, prefetch, queueSession, targetOf, withConnection } from "../../queue.ts";
import { moveBy } from "../../queue_move.ts";
import { messages } from "../../sending.ts";

/** What RabbitMQ notes about a death; without it the message may die again as if for the first time. */
const NOTES = /^x-(death$|first-death-|last-death-)/;

export default command({
  argument: ["<queue>", "the queue of dead letters"],
  options: {
    ...broker,
    ...ending,
    ...group("Delivery", {
      prefetch: { ...prefetch.prefetch, description: "have so many messages under way (1000)" },
    }),
    ...diagnostics,
  },
  examples,
  action(values, operands) {
    if (operands.length > 1) throw new UsageError("redrive empties one queue");
    const queue = operands[0]!;
    const session = queueSession("redrive", values);
    return session.run(async () => {
      const target = targetOf(session, values);
      let there = 0;
      await withConnection(target, async (connection) => {
        const state = await findQueue(connection, queue);
        if (state === undefined) throw new Error(`there is no queue '${queue}'`);
        there = state.messageCount;
      });
      // No more than were there: what dies once more at once would come round for ever.
      const count = Math.min(there, values.count ?? Infinity);
      if (count === 0) return session.reporter.info(`'${queue}' is empty`);
      let strays = 0;
      const moved = await moveBy(session, { ...target, queue }, target, { ...values, count }, (delivery) => {
        const envelope = originOf(delivery);
        if (envelope !== undefined) return envelope;
        strays++;
        // It goes to the end of the queue that it is in.
        const { properties, propertiesEnd } = delivery.content;
        return { exchange: "", routingKey: queue, properties: properties.slice(0, propertiesEnd) };
      });
      session.reporter.info(`gave ${messages(moved.count - strays)} of '${queue}' back`);
      if (strays > 0) {
        session.reporter.error(
          `${
            messages(strays)
          } never died in a queue, and stayed at the end of this one (queue move takes them)`,
        );
        session.exitCode = EXIT.undelivered;
      }
      if (moved.failure !== undefined) throw moved.failure;
    });
  },
});

/** The queue in which a message died last, reached by its name; undefined when it never did. */
function originOf({ content: { properties, propertiesEnd } }: Delivery): Envelope | undefined {
  const decoded = decodeProperties(properties, 0, propertiesEnd);
  const deaths = decoded.headers?.["x-death"];
  const last = Array.isArray(deaths) ? deaths[0] as FieldTable | null : undefined;
  const queue = last?.["queue"];
  if (typeof queue !== "string") return undefined;
  const kept = Object.entries(decoded.headers!).filter(([name]) => !NOTES.test(name));
  if (kept.length > 0) decoded.headers = Object.fromEntries(kept);
  else delete decoded.headers;
  return { exchange: "", routingKey: queue, properties: encodeProperties(decoded) };
}
