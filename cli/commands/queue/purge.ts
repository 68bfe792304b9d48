import { purgeQueue } from "../../../lib/amqp/client/queues.ts";
import examples from "../../cheats/queue-purge.md" with { type: "text" };
import { command } from "../../app/command.ts";
import { messages } from "../../app/tally.ts";
import { broker } from "../../options/broker.ts";
import { checkNames, requireQueue } from "../../queue/existence.ts";
import { targetOf, withConnection } from "../../queue/target.ts";

export default command({
  argument: ["<queue...>", "the queues to purge; unacknowledged messages stay"],
  options: { ...broker },
  examples,
  action({ session, values, operands }) {
    checkNames(operands);
    return withConnection(targetOf(session, values), async (connection) => {
      for (const queue of operands) {
        await requireQueue(connection, queue);
        const count = await purgeQueue(connection, queue);
        session.counts.dropped += count;
        session.reporter.info(`purged ${messages(count)} from '${queue}'`);
      }
    });
  },
});
