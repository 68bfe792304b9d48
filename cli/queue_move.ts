import type { Delivery } from "../lib/amqp/client/channel.ts";
import type { AmqpConnection } from "../lib/amqp/client/connection.ts";
import { Consumer, type Receipt } from "../lib/amqp/client/consumer.ts";
import { type Bodies, type Envelope, Publisher } from "../lib/amqp/client/publisher.ts";
import { ensureQueue, findQueue } from "../lib/amqp/client/queues.ts";
import { TimeoutError } from "./errors.ts";
import type { Target } from "./queue.ts";
import { report } from "./queue_put.ts";
import type { Session } from "./session.ts";

/** How often an empty queue is looked at, in milliseconds. */
const LOOK_MS = 50;
/** How long the broker may take for the last confirms, in milliseconds. */
const LAST_MS = 30_000;

/** What the options of `queue move` say. */
export interface MoveOptions {
  readonly count: number | undefined;
  readonly timeout: number | undefined;
  readonly prefetch: number | undefined;
}

/** What could not be published at once. */
interface Waiting {
  readonly bodies: Bodies;
  readonly envelope: Envelope;
}

/** Where a message goes. It is valid during the call. */
export type Address = (delivery: Delivery) => Envelope;

/** Moves messages from one queue to another, as `moveBy` does. */
export async function moveAll(
  session: Session,
  from: Target & { readonly queue: string },
  to: Target & { readonly queue: string },
  options: MoveOptions,
): Promise<void> {
  const address = ({ content: { properties, propertiesEnd } }: Delivery) => ({
    exchange: "",
    routingKey: to.queue,
    properties: properties.slice(0, propertiesEnd),
  });
  const prepare = async (connection: AmqpConnection) => void await ensureQueue(connection, to.queue);
  const moved = await moveBy(session, from, { ...to, prepare }, options, address);
  session.reporter.info(`moved ${moved.count} from '${from.queue}' to '${to.queue}'`);
  if (moved.failure !== undefined) throw moved.failure;
}

/**
 * Moves messages until the queue is empty: each is acknowledged only when its copy is confirmed.
 *
 * @returns how many were moved, and what stopped it
 */
export async function moveBy(
  session: Session,
  from: Target & { readonly queue: string },
  to: Target & { readonly prepare?: (connection: AmqpConnection) => Promise<void> },
  options: MoveOptions,
  address: Address,
): Promise<{ count: number; failure: Error | undefined }> {
  const wanted = options.count ?? Infinity;
  const prefetch = Math.min(options.prefetch ?? 1000, wanted, 65535);
  const publisher = new Publisher(to.brokers, {
    ...to.link,
    ...(to.prepare === undefined ? {} : { prepare: to.prepare }),
  });
  /** Of what was published and is not acknowledged, in that order. */
  let receipts: Receipt[] = [];
  let acknowledged = 0;
  let published = 0;
  let taken = 0;
  let lastAt = performance.now();
  let over = false;
  let waiting: Waiting[] = [];

  const publish = (bodies: Bodies, envelope: Envelope) => publisher.publish(bodies, 0, 1, envelope) === 1;
  const consumer: Consumer = new Consumer(from.brokers, from.queue, {
    ...from.link,
    prefetch,
    prepare: async (connection) => {
      const state = await findQueue(connection, from.queue);
      if (state === undefined) throw new Error(`there is no queue '${from.queue}' to move from`);
    },
    onDelivery(delivery) {
      if (over || taken >= wanted) return;
      // Cancelled before any acknowledgement makes room for messages that are not wanted.
      if (++taken >= wanted) consumer.cancel();
      lastAt = performance.now();
      receipts.push({ generation: consumer.generation, tag: delivery.deliveryTag });
      const { body, bodyStart, bodyEnd } = delivery.content;
      const envelope = address(delivery);
      const bodies = { bytes: body, starts: [bodyStart], ends: [bodyEnd] };
      if (waiting.length === 0 && publish(bodies, envelope)) published++;
      else {
        const bytes = body.slice(bodyStart, bodyEnd);
        waiting.push({ bodies: { bytes, starts: [0], ends: [bytes.length] }, envelope });
        consumer.pause();
      }
    },
  });
  const acknowledge = () => {
    // A message that came back is among the confirmed ones; which one it is nobody tells.
    if (publisher.returned > 0) return;
    // Acknowledgements make room for messages that are not wanted, unless all wanted ones are here.
    if (wanted <= prefetch && taken < wanted && !over) return;
    const done = publisher.takenInOrder - acknowledged;
    for (const [at, receipt] of receipts.slice(0, done).entries()) {
      // One acknowledgement serves a whole generation.
      if (at === done - 1 || receipts[at + 1]!.generation !== receipt.generation) consumer.ack(receipt, true);
    }
    consumer.flush();
    receipts = receipts.slice(done);
    acknowledged += done;
  };
  publisher.onSettled = () => {
    acknowledge();
    let next = 0;
    while (next < waiting.length && publish(waiting[next]!.bodies, waiting[next]!.envelope)) next++;
    if (next === 0) return;
    published += next;
    waiting = waiting.slice(next);
    if (waiting.length === 0) consumer.resume();
  };
  session.onStop(() => publisher.changed.fire());

  await publisher.start();
  try {
    await consumer.start();
  } catch (error) {
    await publisher.close();
    throw error;
  }
  let failure: Error | undefined;
  const refused = () => publisher.refused + publisher.returned > 0;
  while (!session.stopping && !refused() && acknowledged < wanted) {
    failure = consumer.failure ?? publisher.failure;
    if (failure !== undefined) break;
    if (publisher.takenInOrder === taken && await consumer.isDrained()) break;
    if (options.timeout !== undefined && performance.now() - lastAt >= options.timeout) {
      failure = new TimeoutError(`nothing moved for ${options.timeout / 1000} s (-w)`);
      break;
    }
    await publisher.changed.wait(LOOK_MS);
  }
  over = true;
  await consumer.cancel();
  const end = performance.now() + LAST_MS;
  while (publisher.pending > 0 && publisher.failure === undefined && performance.now() < end) {
    await publisher.changed.wait(LOOK_MS);
  }
  acknowledge();
  await consumer.close();
  await publisher.close();
  session.counts.received = taken;
  report(session, publisher, published);
  return { count: acknowledged, failure };
}
