import examples from "../../cheats/queue-delete.md" with { type: "text" };
import { command, flag, group } from "../../app/command.ts";
import { messages } from "../../app/tally.ts";
import { broker } from "../../options/broker.ts";
import { checkNames, requireQueue } from "../../queue/existence.ts";
import { targetOf, withConnection } from "../../queue/target.ts";

const conditions = group("Queue", {
  ifEmpty: flag("--if-empty", "only when the queue has no messages"),
  ifUnused: flag("--if-unused", "only when the queue has no consumers"),
});

export default command({
  argument: ["<queue...>", "the queues to delete, with their messages"],
  options: { ...broker, ...conditions },
  examples,
  action({ session, values, operands }) {
    checkNames(operands);
    const { ifEmpty = false, ifUnused = false } = values;
    return withConnection(targetOf(session, values), async (connection) => {
      for (const queue of operands) {
        // The broker does not report a missing queue.
        await requireQueue(connection, queue);
        const channel = await connection.open();
        const { messageCount } = await channel.call(
          "queue.delete",
          { queue, ifEmpty, ifUnused },
          "queue.delete-ok",
        );
        session.counts.dropped += messageCount;
        session.reporter.info(`deleted '${queue}' with ${messages(messageCount)}`);
      }
    });
  },
});
