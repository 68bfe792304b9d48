import examples from "../../cheats/queue-purge.md" with { type: "text" };
import { command } from "../../app/command.ts";
import { messages } from "../../app/tally.ts";
import { broker } from "../../options/broker.ts";
import { refuseEmptyNames, requireQueue } from "../../queue/existence.ts";
import { targetOf, withConnection } from "../../queue/target.ts";

export default command({
  argument: ["<queue...>", "the queues to purge; unacknowledged messages stay"],
  options: { ...broker },
  examples,
  action({ session, values, operands }) {
    refuseEmptyNames(operands);
    return withConnection(targetOf(session, values), async (connection) => {
      const channel = await connection.open();
      for (const queue of operands) {
        await requireQueue(connection, queue);
        const { messageCount } = await channel.call("queue.purge", { queue }, "queue.purge-ok");
        session.counts.dropped += messageCount;
        session.reporter.info(`purged ${messages(messageCount)} from '${queue}'`);
      }
    });
  },
});
