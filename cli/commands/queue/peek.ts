import type { AmqpConnection } from "../../../lib/amqp/client/connection.ts";
import { peekQueue } from "../../../lib/amqp/client/peek.ts";
import examples from "../../cheats/queue-peek.md" with { type: "text" };
import { command, group } from "../../app/command.ts";
import { UsageError } from "../../app/errors.ts";
import { phrase } from "../../app/reporter.ts";
import type { Session } from "../../app/session.ts";
import { queueWriter } from "../../brokers/records.ts";
import { finishOutput, Output } from "../../io/output.ts";
import { broker } from "../../options/broker.ts";
import { consuming, prefetch } from "../../options/brokers.ts";
import { ending, output } from "../../options/options.ts";
import { refuseEmptyNames, requireQueue } from "../../queue/existence.ts";
import { borrow } from "../../queue/borrow.ts";
import { notAStream, startOf } from "../../queue/streams.ts";
import { targetOf, withConnection } from "../../queue/target.ts";
import { type RecordStyle, styleOf } from "../../records/writer.ts";

/** The default of `--count`. */
const COUNT = 10;
/** How long to wait for messages that the broker holds back (for a single active consumer, say), in milliseconds. */
const TIMEOUT_MS = 5000;

export default command({
  argument: ["<queue>", "the queue whose first messages are shown"],
  options: {
    ...broker,
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
    if (operands.length > 1) throw new UsageError("peek shows one queue");
    refuseEmptyNames(operands);
    const style = styleOf(session, values, false);
    const { count = COUNT, timeout = TIMEOUT_MS } = values;
    const target = targetOf(session, values);
    const offset = startOf(values.offset);
    let done = false;
    await withConnection(target, async (connection, broker) => {
      if (!connection.peeks) return;
      if (offset !== undefined) throw notAStream(operands[0]!);
      await look(session, connection, operands[0]!, style, count, broker);
      done = true;
    });
    if (!done) await borrow(session, target, operands[0]!, style, { count, timeout, offset });
  },
});

/** Lets our own broker show the messages, which does not change them. */
async function look(
  session: Session,
  connection: AmqpConnection,
  queue: string,
  style: RecordStyle,
  count: number,
  endpoint: string,
): Promise<void> {
  await requireQueue(connection, queue);
  const { counts } = session;
  const out = new Output(session);
  const write = queueWriter(out, style);
  out.onChange = () => out.failure === undefined ? connection.resume() : connection.abort();
  session.onStop(() => connection.abort());
  try {
    await peekQueue(connection, queue, count, {
      onDelivery(delivery) {
        counts.received++;
        counts.bytes += delivery.content.bodyEnd - delivery.content.bodyStart;
        write(delivery, endpoint);
      },
      onBatchEnd() {
        out.flush();
        if (out.full) connection.pause();
      },
    });
  } catch (error) {
    if (session.stopping || out.failure !== undefined) return await finishOutput(session, out);
    // Messages must not be shown twice.
    throw counts.received === 0 ? error : new Error(`${phrase(error)} (try again)`);
  }
  await finishOutput(session, out);
}
