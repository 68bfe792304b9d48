import type { AmqpConnection } from "../../../lib/amqp/client/connection.ts";
import { Consumer } from "../../../lib/amqp/client/consumer.ts";
import { peekQueue } from "../../../lib/amqp/client/peek.ts";
import examples from "../../cheats/queue-peek.md" with { type: "text" };
import { command, group } from "../../app/command.ts";
import { TimeoutError, UsageError } from "../../app/errors.ts";
import { phrase } from "../../app/reporter.ts";
import type { Session } from "../../app/session.ts";
import { farewell, startWithin } from "../../brokers/link.ts";
import { queueWriter } from "../../brokers/records.ts";
import { finishOutput, Output, outputFailure } from "../../io/output.ts";
import { broker, leader } from "../../options/broker.ts";
import { prefetch } from "../../options/brokers.ts";
import { ending, output } from "../../options/options.ts";
import { refuseEmptyNames, requireQueue } from "../../queue/existence.ts";
import { refuseStream, SUSPICION_MS } from "../../queue/streams.ts";
import { type BrokerTarget, near, targetOf, withConnection } from "../../queue/target.ts";
import { type RecordStyle, styleOf } from "../../records/writer.ts";

/** The default of `--count`. */
const COUNT = 10;
/** How long to wait for messages that the broker holds back (for a single active consumer, say), in milliseconds. */
const TIMEOUT_MS = 5000;
/** The interval between checks for more messages, in milliseconds. */
const LOOK_MS = 50;

export default command({
  argument: ["<queue>", "the queue whose first messages are shown"],
  options: {
    ...broker,
    ...leader,
    ...output,
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
    const target = near(targetOf(session, values), operands[0]!);
    let done = false;
    await withConnection(target, async (connection, broker) => {
      if (!connection.peeks) return;
      await look(session, connection, operands[0]!, style, count, broker);
      done = true;
    });
    if (!done) await borrow(session, target, operands[0]!, style, count, timeout);
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
    if (session.stopping || out.failure !== undefined) return finish(session, out);
    // Messages must not be shown twice.
    throw counts.received === 0 ? error : new Error(`${phrase(error)} (try again)`);
  }
  await finish(session, out);
}

async function finish(session: Session, out: Output): Promise<void> {
  await finishOutput(session, out);
}

/**
 * Consumes the messages to show, acknowledges none, and disconnects, so that they return to their places. On quorum
 * queues this works for a consumer that disconnects; rejected messages, and messages from `basic.get`, go to the end
 * (RabbitMQ 3.10).
 */
async function borrow(
  session: Session,
  target: BrokerTarget,
  queue: string,
  style: RecordStyle,
  count: number,
  timeout: number,
): Promise<void> {
  const { counts } = session;
  const { brokers, link } = target;
  const out = new Output(session);
  const write = queueWriter(out, style);
  let lastAt = performance.now();
  let failure: Error | undefined;
  let asked = false;
  let generation = 1;
  const consumer: Consumer = new Consumer(brokers, queue, {
    ...link,
    prefetch: count,
    prepare: async (connection) => {
      await requireQueue(connection, queue);
    },
    onDelivery(delivery) {
      if (counts.received === count || consumer.generation !== generation) return;
      lastAt = performance.now();
      counts.received++;
      counts.bytes += delivery.content.bodyEnd - delivery.content.bodyStart;
      write(delivery, consumer.broker);
    },
    onBatchEnd() {
      out.flush();
      if (out.full) consumer.pause();
      consumer.changed.fire();
    },
  });
  out.onChange = () => out.failure === undefined ? consumer.resume() : consumer.changed.fire();
  session.onStop(() => consumer.changed.fire());
  await startWithin(target, timeout, consumer.start());
  generation = consumer.generation;
  while (counts.received < count && !session.stopping && out.failure === undefined) {
    failure = consumer.failure;
    // After a reconnect the first messages would be delivered again.
    if (consumer.generation !== generation) failure = new Error("the connection was lost: try again");
    if (failure !== undefined) break;
    const drained = !out.full &&
      await session.untilStopped(consumer.isDrained(), lastAt + timeout - performance.now());
    if (!asked && counts.received === 0 && (drained || performance.now() - lastAt >= SUSPICION_MS)) {
      asked = true;
      failure = await refuseStream(target, queue, "peek").catch((error) => error);
    }
    if (failure !== undefined || drained) break;
    if (!out.full && performance.now() - lastAt >= timeout) {
      failure = new TimeoutError(`the broker delivered no messages for ${timeout / 1000} s (-w)`);
      break;
    }
    await consumer.changed.wait(LOOK_MS);
  }
  await out.drained();
  await farewell(session, failure, (limit) => consumer.close(limit));
  if (counts.received > 0) {
    session.reporter.warn(
      "the broker cannot show messages without a delivery: they are back in the queue, marked as redelivered, " +
        "and a quorum queue has counted the delivery",
    );
  }
  failure = outputFailure(session, out) ?? failure;
  if (failure !== undefined) throw failure;
}
