import examples from "../../cheats/queue-peek.md" with { type: "text" };
import { command, group } from "../../app/command.ts";
import { broker, leader } from "../../options/broker.ts";
import { consuming, prefetch } from "../../options/brokers.ts";
import { ending, output } from "../../options/options.ts";
import { filterOf, requireForce, selecting } from "../../options/where.ts";
import { checkNames } from "../../queue/existence.ts";
import { borrow } from "../../queue/borrow.ts";
import { look } from "../../queue/look.ts";
import { notAStream, startOf } from "../../queue/streams.ts";
import { reportUntested } from "../../queue/sweep.ts";
import { near, targetOf, withConnection } from "../../queue/target.ts";
import { styleOf } from "../../records/writer.ts";

/** The default of `--count`. */
const COUNT = 10;
/** How long to wait for messages that the broker holds back (for a single active consumer, say), in milliseconds. */
const TIMEOUT_MS = 5000;

export default command({
  argument: ["<queue>", "the queue whose first messages are shown"],
  options: {
    ...broker,
    ...leader,
    ...selecting,
    ...output,
    ...group("Queue", {
      offset: {
        ...consuming.offset,
        description:
          "where to begin in a stream: first (default), last, next, a number, or a time such as 2026-11-25T08:00:00Z",
      },
    }),
    ...group("Timing", {
      count: {
        ...group("Delivery", prefetch).prefetch,
        flags: ending.count.flags,
        description: "number of messages to show (default: 10)",
      },
      timeout: {
        ...ending.timeout,
        description: "give up (exit 3) when the broker sends no messages for this long (default: 5s)",
      },
    }),
  },
  examples,
  async action({ session, values, operands }) {
    checkNames(operands);
    const style = styleOf(session, values, false);
    const { count = COUNT, timeout = TIMEOUT_MS } = values;
    const target = near(targetOf(session, values), operands[0]!);
    const offset = startOf(values.offset);
    const filter = await filterOf(values);
    const [queue] = operands as [string];
    let done = false;
    await withConnection(target, async (connection, broker) => {
      if (filter === undefined ? !connection.peeks : !connection.sweeps) return;
      if (offset !== undefined) throw notAStream(queue);
      const { where } = values;
      await look(session, connection, broker, { queue, style, count, where });
      if (where !== undefined && !session.stopping) {
        await reportUntested(session, connection, queue, where, count);
      }
      done = true;
    });
    if (done) return;
    if (offset === undefined) requireForce(values, queue);
    await borrow(session, target, queue, style, { count, timeout, offset, filter });
  },
});
