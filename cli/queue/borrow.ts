/** Shows messages of a broker that can only deliver them: nothing is acknowledged, so they stay in their queue. */
import { Consumer } from "../../lib/amqp/client/consumer.ts";
import type { Filter } from "../../lib/filter/filter.ts";
import { DeliveredMessage } from "../../lib/filter/message.ts";
import type { FieldValue } from "../../lib/amqp/types/field_value.ts";
import { TimeoutError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { farewell, startWithin } from "../brokers/link.ts";
import { queueWriter } from "../brokers/records.ts";
import { Output, outputFailure } from "../io/output.ts";
import type { RecordStyle } from "../records/writer.ts";
import { requireQueue } from "./existence.ts";
import { explainOffset, fromOffset, isStream, offsetOf, SUSPICION_MS } from "./streams.ts";
import type { BrokerTarget } from "./target.ts";

/** The interval between checks for more messages, in milliseconds. */
const LOOK_MS = 50;

/** What to show, and for how long to wait for it. */
export interface BorrowOptions {
  /** The maximum number of messages. */
  readonly count: number;
  /** The time without a message after which the command fails, in milliseconds. */
  readonly timeout: number;
  /** The maximum number of messages to print; all are counted. Default: `count` */
  readonly shown?: number | undefined;
  /** Which messages are of interest. Default: all */
  readonly filter?: Filter | undefined;
  /** Where to begin in a stream. Default: the first message */
  readonly offset?: FieldValue | undefined;
}

/**
 * Consumes the messages to show, acknowledges none, and disconnects, so that they return to their places. On quorum
 * queues this works for a consumer that disconnects; rejected messages, and messages from `basic.get`, go to the end
 * (RabbitMQ 3.10). A stream does not notice it.
 *
 * @throws {Error} the connection was lost, nothing was delivered in time, or `offset` was given for another type of queue
 */
export async function borrow(
  session: Session,
  target: BrokerTarget,
  queue: string,
  style: RecordStyle,
  options: BorrowOptions,
): Promise<void> {
  const out = new Output(session);
  const loan = new Loan(session, target, queue, out, style, options);
  let failure = await loan.run(options.offset);
  // AMQP does not say which queue is a stream, and without an offset a stream delivers later messages only.
  if (options.offset === undefined && loan.isStream) failure = await loan.run("first");
  failure = outputFailure(session, out) ?? failure;
  if (loan.delivered > 0 && !loan.isStream) {
    session.reporter.warn(
      "the broker cannot show messages without a delivery: they are back in the queue, marked as redelivered, " +
        "and a quorum queue has counted the delivery",
    );
  }
  if (failure !== undefined) throw failure;
}

class Loan {
  /** Whether the queue turned out to be a stream. */
  isStream = false;
  /** The number of messages that were delivered, also of those that do not match. */
  delivered = 0;

  readonly #session: Session;
  readonly #target: BrokerTarget;
  readonly #queue: string;
  readonly #out: Output;
  readonly #style: RecordStyle;
  readonly #options: BorrowOptions;
  #lastAt = 0;
  /** The number of the connection. */
  #generation = 1;

  constructor(
    session: Session,
    target: BrokerTarget,
    queue: string,
    out: Output,
    style: RecordStyle,
    options: BorrowOptions,
  ) {
    this.#session = session;
    this.#target = target;
    this.#queue = queue;
    this.#out = out;
    this.#style = style;
    this.#options = options;
  }

  /**
   * Shows messages until there are enough, or no more.
   *
   * @param offset where to begin in a stream; without it, this ends at once when the queue is one
   * @returns the failure, if any
   */
  async run(offset: FieldValue | undefined): Promise<Error | undefined> {
    const session = this.#session;
    const consumer = this.#consumer(offset);
    this.#out.onChange = () => this.#out.failure === undefined ? consumer.resume() : consumer.changed.fire();
    session.onStop(() => consumer.changed.fire());
    this.#lastAt = performance.now();
    this.#generation = 1;
    try {
      await startWithin(this.#target, this.#options.timeout, consumer.start());
      this.#generation = consumer.generation;
    } catch (error) {
      throw explainOffset(this.#queue, error);
    }
    const failure = await this.#watch(consumer, offset).catch((error) => error as Error);
    await this.#out.drained();
    await farewell(session, failure, (limit) => consumer.close(limit));
    return failure;
  }

  #consumer(offset: FieldValue | undefined): Consumer {
    const { counts } = this.#session;
    const { brokers, link } = this.#target;
    const { count, shown = count, filter } = this.#options;
    const message = new DeliveredMessage();
    const out = this.#out;
    const write = queueWriter(out, this.#style);
    const consumer: Consumer = new Consumer(brokers, this.#queue, {
      ...link,
      prefetch: Math.min(count, 65535),
      where: offset === undefined ? filter?.text : undefined,
      arguments: () => offset === undefined ? {} : fromOffset(offset),
      prepare: async (connection) => void await requireQueue(connection, this.#queue),
      onDelivery: (delivery) => {
        // After a reconnect the first messages are delivered again.
        if (counts.received === count || consumer.generation !== this.#generation) return;
        this.isStream ||= this.delivered === 0 && offsetOf(delivery) !== undefined;
        if (this.isStream && offset === undefined) return;
        this.#lastAt = performance.now();
        this.delivered++;
        if (filter !== undefined && !filter.matches(message.of(delivery))) return;
        counts.received++;
        counts.bytes += delivery.content.bodyEnd - delivery.content.bodyStart;
        if (counts.received <= shown) write(delivery, consumer.broker!);
      },
      onBatchEnd: () => {
        out.flush();
        if (out.full) consumer.pause();
        consumer.changed.fire();
      },
    });
    return consumer;
  }

  /** @returns after the last message @throws {Error} the connection was lost, or nothing was delivered in time */
  async #watch(consumer: Consumer, offset: FieldValue | undefined): Promise<undefined> {
    const { count, timeout } = this.#options;
    const session = this.#session;
    const { counts } = session;
    const out = this.#out;
    let asked = offset !== undefined;
    while (counts.received < count && !session.stopping && out.failure === undefined) {
      if (consumer.failure !== undefined) throw consumer.failure;
      if (consumer.generation !== this.#generation) throw new Error("the connection was lost: try again");
      const left = this.#lastAt + timeout - performance.now();
      const isOver = !out.full && await session.untilStopped(isExhausted(consumer, offset), left);
      const isQuiet = performance.now() - this.#lastAt >= SUSPICION_MS;
      if (!asked && this.delivered === 0 && (isOver || isQuiet)) {
        asked = true;
        this.isStream ||= await isStream(this.#target, this.#queue);
      }
      if (isOver || this.isStream && offset === undefined) return;
      if (!out.full && performance.now() - this.#lastAt >= timeout) {
        throw new TimeoutError(`the broker delivered no messages for ${timeout / 1000} s (-w)`);
      }
      await consumer.changed.wait(LOOK_MS);
    }
  }
}

/** Whether there is nothing more to show. Messages after the offset `next` do not exist yet. */
async function isExhausted(consumer: Consumer, offset: FieldValue | undefined): Promise<boolean> {
  return offset === undefined ? await consumer.isDrained() : offset !== "next" && await consumer.isAtEnd();
}
