/** Shows messages where the broker cannot show them: receives them, and returns them to their queue. */
import { Consumer } from "../../lib/amqp/client/consumer.ts";
import { formatBroker } from "../../lib/amqp/client/url.ts";
import type { Filter } from "../../lib/filter/filter.ts";
import { DeliveredMessage } from "../../lib/filter/message.ts";
import { TimeoutError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { farewell, startWithin } from "../brokers/link.ts";
import { queueWriter } from "../brokers/records.ts";
import { Output, outputFailure } from "../io/output.ts";
import type { RecordStyle } from "../records/writer.ts";
import { requireQueue } from "./existence.ts";
import { refuseStream, SUSPICION_MS } from "./streams.ts";
import type { BrokerTarget } from "./target.ts";

/** The interval between checks for more messages, in milliseconds. */
const LOOK_MS = 50;

/** Which messages to receive, and how many of them to show. */
export interface BorrowOptions {
  readonly style: RecordStyle;
  /** The maximum number of messages that match. */
  readonly count: number;
  /** The maximum number of messages to print. Default: `count` */
  readonly shown?: number;
  /** Give up when the broker delivers nothing for so long, in milliseconds. */
  readonly timeout: number;
  /** Which messages match. Default: all */
  readonly filter?: Filter | undefined;
}

/**
 * Consumes the messages to show, acknowledges none, and disconnects, so that they return to their places. On quorum
 * queues this works for a consumer that disconnects; rejected messages, and messages from `basic.get`, go to the end
 * (RabbitMQ 3.10).
 */
export async function borrow(
  session: Session,
  target: BrokerTarget,
  queue: string,
  { style, count, shown = count, timeout, filter }: BorrowOptions,
): Promise<void> {
  const { counts } = session;
  const message = new DeliveredMessage();
  const { brokers, link } = target;
  const out = new Output(session);
  const write = queueWriter(out, style);
  const endpoint = formatBroker(brokers[0]!);
  let lastAt = performance.now();
  let failure: Error | undefined;
  let asked = false;
  let generation = 1;
  let taken = 0;
  const consumer: Consumer = new Consumer(brokers, queue, {
    ...link,
    prefetch: Math.min(count, 65535),
    where: filter?.text,
    prepare: async (connection) => {
      await requireQueue(connection, queue);
    },
    onDelivery(delivery) {
      if (counts.received === count || consumer.generation !== generation) return;
      lastAt = performance.now();
      taken++;
      if (filter !== undefined && !filter.matches(message.of(delivery))) return;
      counts.received++;
      counts.bytes += delivery.content.bodyEnd - delivery.content.bodyStart;
      if (counts.received <= shown) write(delivery, endpoint);
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
    if (!asked && taken === 0 && (drained || performance.now() - lastAt >= SUSPICION_MS)) {
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
  if (taken > 0) {
    session.reporter.warn(
      "the broker cannot show messages without a delivery: they are back in the queue, marked as redelivered, " +
        "and a quorum queue has counted the delivery",
    );
  }
  failure = outputFailure(session, out) ?? failure;
  if (failure !== undefined) throw failure;
}
