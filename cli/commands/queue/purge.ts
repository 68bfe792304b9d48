import examples from "../../cheats/queue-purge.md" with { type: "text" };
import { command } from "../../app/command.ts";
import { diagnostics } from "../../options/options.ts";
import { broker, queueSession, targetOf, withConnection } from "../../queue/target.ts";
import { messages } from "../../zmq/send.ts";

export default command({
  argument: ["<queue...>", "what to empty; unacknowledged messages stay"],
  options: { ...broker, ...diagnostics },
  examples,
  action(values, operands) {
    const session = queueSession("purge", values);
    return session.run(() =>
      withConnection(targetOf(session, values), async (connection) => {
        const channel = await connection.open();
        for (const queue of operands) {
          const { messageCount } = await channel.call("queue.purge", { queue }, "queue.purge-ok");
          session.counts.dropped += messageCount;
          session.reporter.info(`purged ${messages(messageCount)} from '${queue}'`);
        }
      })
    );
  },
});
