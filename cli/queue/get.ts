import { Consumer } from "../../lib/amqp/client/consumer.ts";
import { formatBroker } from "../../lib/amqp/client/url.ts";
import type { FieldValue } from "../../lib/amqp/types/field_value.ts";
import { TimeoutError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { Output, outputFailure } from "../io/output.ts";
import type { RecordStyle } from "../records/writer.ts";
import { requireDeadLetters } from "./dead_letters.ts";
import { requireQueue } from "./existence.ts";
import { queueWriter } from "./records.ts";
import { ExecSink, PrintSink } from "./sinks.ts";
import { explainOffset, fromOffset, isStream, notAStream, offsetOf, SUSPICION_MS } from "./streams.ts";
import { type BrokerTarget, farewell, startWithin } from "./target.ts";

/** The values of the options of `queue get`; times are in milliseconds. */
export interface GetOptions {
  readonly count: number | undefined;
  readonly timeout: number | undefined;
  readonly drain: boolean | undefined;
  /** Whether to create the queue if it does not exist. */
  readonly declare: boolean | undefined;
  readonly prefetch: number | undefined;
  readonly exec: string | undefined;
  readonly jobs: number | undefined;
  readonly maxAttempts: number | undefined;
  readonly onError: "requeue" | "reject" | "dead-letter" | undefined;
  /** The offset at which to start in a stream. */
  readonly offset: FieldValue | undefined;
}

/** The interval between checks of an empty queue with `--drain`, in milliseconds. */
const LOOK_MS = 50;

/** Consumes a queue until a limit, an error or a signal ends it. */
export async function getAll(
  session: Session,
  target: BrokerTarget,
  queue: string,
  style: RecordStyle,
  options: GetOptions,
): Promise<void> {
  const { counts } = session;
  const { brokers, link } = target;
  const output = new Output(session);
  const wanted = options.count ?? Infinity;
  const prefetch = Math.min(
    options.prefetch ?? (options.exec === undefined ? 1000 : options.jobs ?? 1),
    wanted,
    65535,
  );
  let lastAt = performance.now();
  let over = false;
  let failure: unknown;
  /** The offset at which to continue in a stream. */
  let offset = options.offset;
  let fromStream: boolean | undefined;
  let asked = false;
  const consumer: Consumer = new Consumer(brokers, queue, {
    ...link,
    prefetch,
    arguments: () => offset === undefined ? {} : fromOffset(offset),
    prepare: async (connection) => {
      await requireQueue(connection, queue, options.declare ?? false);
      if (options.onError === "dead-letter") await requireDeadLetters(connection, queue, session.reporter);
    },
    onDelivery(delivery) {
      // Other messages stay unacknowledged, and are requeued when we disconnect.
      if (over || failure !== undefined) return;
      fromStream ??= offsetOf(delivery) !== undefined;
      failure = unfit(queue, fromStream, options);
      if (failure !== undefined) return consumer.changed.fire();
      if (fromStream) offset = offsetOf(delivery)! + 1n;
      lastAt = performance.now();
      counts.received++;
      counts.bytes += delivery.content.bodyEnd - delivery.content.bodyStart;
      sink.take(delivery, { generation: consumer.generation, tag: delivery.deliveryTag });
      over = counts.received >= wanted;
    },
    onBatchEnd() {
      sink.flush();
      if (output.full) consumer.pause();
      if (over || options.drain) consumer.changed.fire();
    },
  });
  output.onChange = () => output.failure === undefined ? consumer.resume() : consumer.changed.fire();
  const endpoint = formatBroker(brokers[0]!);
  const sink = options.exec === undefined
    ? new PrintSink(
      session,
      consumer,
      output,
      queueWriter(output, style),
      endpoint,
      wanted <= prefetch,
      () => over,
    )
    : new ExecSink(session, consumer, output, style, endpoint, { ...options, exec: options.exec });
  session.onStop(() => consumer.changed.fire());
  await startWithin(target, options.timeout, consumer.start()).catch((error) => {
    throw explainOffset(queue, error);
  });

  while (!over && !session.stopping && !sink.stopped && output.failure === undefined) {
    failure ??= consumer.failure;
    if (failure !== undefined) break;
    const left = options.timeout === undefined || !sink.idle
      ? Infinity
      : lastAt + options.timeout - performance.now();
    if (options.drain && sink.idle && await session.untilStopped(consumer.isDrained(), left)) break;
    if (options.drain && !asked && counts.received === 0 && performance.now() - lastAt >= SUSPICION_MS) {
      asked = true;
      if (await session.untilStopped(isStream(target, queue), left)) failure = unfit(queue, true, options);
    }
    if (left <= 0) {
      failure = new TimeoutError(`no message arrived for ${options.timeout! / 1000} s (-w)`);
      break;
    }
    const look = options.drain || options.timeout !== undefined ? LOOK_MS : Infinity;
    await consumer.changed.wait(Math.min(left, look));
  }
  over = true;
  // The broker must not deliver more messages after the last acknowledgements.
  await farewell(session, failure, (limit) => consumer.cancel(limit));
  await sink.finish();
  await output.drained();
  await farewell(session, failure, (limit) => consumer.close(limit));
  failure = outputFailure(session, output) ?? failure;
  if (failure !== undefined) throw failure;
}

/** Why the options do not fit the type of the queue, which its first message shows. */
function unfit(
  queue: string,
  fromStream: boolean,
  { offset, drain, onError }: GetOptions,
): Error | undefined {
  if (!fromStream) {
    return offset === undefined ? undefined : notAStream(queue);
  }
  if (drain) {
    return new Error(`'${queue}' is a stream, which is never empty: use -n or -w to end, not --drain`);
  }
  if (onError === undefined) return undefined;
  return new Error(
    `'${queue}' is a stream, which keeps its messages when they are rejected: remove --on-error`,
  );
}
