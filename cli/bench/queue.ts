/** The benchmark of a broker: publishers with confirms, and consumers with acknowledgements. */
import type { AmqpConnection } from "../../lib/amqp/client/connection.ts";
import { Consumer, type Receipt } from "../../lib/amqp/client/consumer.ts";
import { type Envelope, Publisher } from "../../lib/amqp/client/publisher.ts";
import { declareQueue } from "../../lib/amqp/client/queues.ts";
import { formatBroker } from "../../lib/amqp/client/url.ts";
import { encodeProperties } from "../../lib/amqp/properties.ts";
import type { Batch } from "../../lib/zmtp/batch.ts";
import { TimeoutError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { requireQueue } from "../queue/existence.ts";
import { farewell, startWithin } from "../brokers/link.ts";
import type { BrokerTarget } from "../queue/target.ts";
import { generate, type Sink } from "./generator.ts";
import { Histogram } from "./histogram.ts";
import { Meter, STAMP_BYTES, Stamps } from "./meter.ts";
import { Schedule } from "./schedule.ts";
import { awaitMessages, type Outcome, type Progressing, type Spec, STALL_MS } from "./spec.ts";

/** What the benchmark of a broker needs beyond the load. */
export interface QueueSpec extends Spec {
  readonly target: BrokerTarget;
  /** An existing queue. Default: a queue that exists as long as the benchmark. */
  readonly queue: string | undefined;
  /** Whether the broker must write the messages to the disk. */
  readonly persistent: boolean;
  readonly prefetch: number | undefined;
}

/** The longest wait for confirms, after which the end of the schedule is checked again, in milliseconds. */
const ROOM_MS = 100;

/** Runs a benchmark until its limits or a signal end it. */
export async function benchQueue(session: Session, spec: QueueSpec, progress: Progressing): Promise<Outcome> {
  const { role, target, clients } = spec;
  const queue = spec.queue ?? `mqcat.bench.${crypto.randomUUID()}`;
  const received = new Meter();
  const each = <T>(side: "send" | "receive", make: () => T): T[] =>
    role === "both" || role === side ? Array.from({ length: clients }, make) : [];
  const consumers = each("receive", () => consumerOf(spec, queue, received));
  const publishers = each("send", () => publisherOf(spec, queue));
  const endpoint = `${formatBroker(target.brokers[0]!)}, queue ${queue}`;
  let outcome: Outcome | undefined;
  try {
    // The first consumer creates the queue.
    for (const link of [...consumers, ...publishers]) await startWithin(target, spec.timeout, link.start());
    outcome = publishers.length === 0
      ? await consume(session, spec, consumers, received, endpoint, progress)
      : await publish(session, spec, queue, publishers, received, endpoint, progress);
    return outcome;
  } finally {
    // The broker deletes its queue when the last consumer is gone.
    await farewell(session, outcome?.failure, async (limit) => {
      await Promise.all(consumers.map((consumer) => consumer.cancel(limit)));
      await Promise.all([...consumers, ...publishers].map((link) => link.close(limit)));
    });
  }
}

function consumerOf(
  { role, target: { brokers, link }, queue: given, prefetch, limits }: QueueSpec,
  queue: string,
  meter: Meter,
): Consumer {
  // Other messages of a queue that is not ours stay in it.
  const wanted = role === "receive" ? limits.count ?? Infinity : Infinity;
  const stamps = new Stamps();
  let last: Receipt | undefined;
  let generation = 0;
  let tag = 0;
  const consumer: Consumer = new Consumer(brokers, queue, {
    ...link,
    prefetch: Math.min(prefetch ?? 1000, wanted),
    prepare: async (connection) => {
      if (given === undefined) await createQueue(connection, queue);
      else await checkQueue(connection, queue, role === "both");
    },
    onDelivery: ({ content: { body, bodyStart, bodyEnd }, deliveryTag }) => {
      if (meter.messages >= wanted) return;
      const now = performance.now();
      meter.count(1, bodyEnd - bodyStart, now);
      if (role === "both" && bodyEnd - bodyStart >= STAMP_BYTES) {
        meter.latency.record(now - stamps.read(body, bodyStart));
      }
      tag = deliveryTag;
    },
    onBatchEnd: () => {
      if (tag === last?.tag && generation === consumer.generation || tag === 0) return;
      generation = consumer.generation;
      last = { generation, tag };
      consumer.ack(last, true);
      consumer.flush();
    },
  });
  return consumer;
}

/** The queue of a run: deleted by the broker after its last consumer, also when this process is killed. */
async function createQueue(connection: AmqpConnection, queue: string): Promise<void> {
  await declareQueue(connection, queue, { durable: true, autoDelete: true });
}

/** @throws {Error} the queue does not exist, or has messages or consumers of others */
async function checkQueue(connection: AmqpConnection, queue: string, mustBeEmpty: boolean): Promise<void> {
  const { messageCount } = await requireQueue(connection, queue);
  if (!mustBeEmpty || messageCount === 0) return;
  throw new Error(
    `queue '${queue}' has ${messageCount} messages, and the benchmark would consume them: name an empty queue`,
  );
}

function publisherOf({ target: { brokers, link }, queue: given }: QueueSpec, queue: string): Publisher {
  return new Publisher(brokers, {
    ...link,
    prepare: async (connection) => {
      if (given !== undefined) await checkQueue(connection, queue, false);
    },
  });
}

async function publish(
  session: Session,
  { role, size, limits, timeout, persistent }: QueueSpec,
  queue: string,
  publishers: readonly Publisher[],
  received: Meter,
  endpoint: string,
  progress: Progressing,
): Promise<Outcome> {
  const sent = new Meter();
  const confirmed = new Meter();
  const confirms = new Histogram();
  const properties = encodeProperties({ deliveryMode: persistent ? 2 : 1 });
  const envelope = { exchange: "", routingKey: queue, properties };
  const began = performance.now();
  sent.began = confirmed.began = began;
  if (role === "both") received.began = began;
  progress.watch(() => confirmed.messages, "confirmed");
  const wake = () => publishers.forEach(({ changed }) => changed.fire());
  session.onStop(wake);
  const schedules = publishers.map((_, at) => new Schedule(session, limits, began, at, publishers.length));
  await Promise.all(publishers.map((publisher, at) => {
    const sink = new PublisherSink(publisher, envelope, size, schedules[at]!, confirmed, confirms);
    return generate(sink, size, schedules[at]!, sent);
  }));
  const hasFailed = () => publishers.some(({ failure }) => failure !== undefined);
  const settled = () => publishers.every(({ pending }) => pending === 0) || hasFailed();
  const limit = timeout ?? STALL_MS;
  const confirmedAll = await awaitMessages(session, settled, () => confirmed.messages, limit);
  const measured = {
    sent,
    confirmed,
    confirmLatency: confirms,
    ...(role === "both" ? { received, latency: received.latency } : {}),
  };
  const failure = publishers.find(({ failure }) => failure !== undefined)?.failure ?? refusal(publishers);
  if (failure !== undefined) return { endpoint, measured, failure };
  if (!confirmedAll) {
    const late = new TimeoutError(`the broker confirmed nothing for ${limit / 1000} s (-w)`);
    return { endpoint, measured, failure: late };
  }
  if (role !== "both") return { endpoint, measured };
  const isOver = () => received.messages >= confirmed.messages;
  const arrived = await awaitMessages(session, isOver, () => received.messages, limit);
  return { endpoint, measured, lost: arrived ? 0 : confirmed.messages - received.messages };
}

/** The error for messages that the broker did not take. */
function refusal(publishers: readonly Publisher[]): Error | undefined {
  for (const { refused, refusalReason, returned, returnReason } of publishers) {
    if (returned > 0) return new Error(`${returned} messages came back: ${returnReason}`);
    if (refused > 0) {
      return new Error(`the broker refused ${refused} messages${refusalReason && `: ${refusalReason}`}`);
    }
  }
  return undefined;
}

async function consume(
  session: Session,
  { limits: { count = Infinity, duration = Infinity }, timeout }: QueueSpec,
  consumers: readonly Consumer[],
  received: Meter,
  endpoint: string,
  progress: Progressing,
): Promise<Outcome> {
  progress.watch(() => received.messages, "received");
  const failureOf = () => consumers.find(({ failure }) => failure !== undefined)?.failure;
  const isOver = () => {
    if (received.messages >= count || failureOf() !== undefined) return true;
    return received.began !== undefined && performance.now() - received.began >= duration;
  };
  const arrived = await awaitMessages(session, isOver, () => received.messages, timeout);
  const late = () => new TimeoutError(`no message arrived for ${timeout! / 1000} s (-w)`);
  return { endpoint, measured: { received }, failure: arrived ? failureOf() : late() };
}

class PublisherSink implements Sink {
  readonly #publisher: Publisher;
  readonly #envelope: Envelope;
  readonly #size: number;
  readonly #schedule: Schedule;
  readonly #confirmed: Meter;
  readonly #latency: Histogram;

  constructor(
    publisher: Publisher,
    envelope: Envelope,
    size: number,
    schedule: Schedule,
    confirmed: Meter,
    latency: Histogram,
  ) {
    this.#publisher = publisher;
    this.#envelope = envelope;
    this.#size = size;
    this.#schedule = schedule;
    this.#confirmed = confirmed;
    this.#latency = latency;
  }

  get failure(): Error | undefined {
    return this.#publisher.failure;
  }

  send(batch: Batch, from: number, to: number, first: number): number {
    const sentAt = performance.now();
    let taken = 0;
    const outcome = {
      isReturned: false,
      onReturn: () => outcome.isReturned = true,
      onSettled: (acknowledged: boolean) => {
        if (!acknowledged || outcome.isReturned) return;
        const now = performance.now();
        this.#confirmed.count(taken, taken * this.#size, now);
        if (!this.#schedule.paced) return this.#latency.record(now - sentAt, taken);
        for (let i = 0; i < taken; i++) this.#latency.record(now - this.#schedule.intended(first + i));
      },
    };
    const end = this.#publisher.publish(batch, from, to, this.#envelope, outcome);
    taken = end - from;
    return end;
  }

  async writable(): Promise<void> {
    await this.#publisher.changed.wait(ROOM_MS);
  }
}
