/** The benchmarks of brokers: senders with confirms, and receivers with acknowledgements. */
import type { Envelope, Inlet, InletEvents, Outlet, Receipt } from "../../lib/patterns/contract.ts";
import type { Batch } from "../../lib/zmtp/batch.ts";
import { TimeoutError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { farewell, startWithin, type Target } from "../brokers/link.ts";
import { generate, type Sink } from "./generator.ts";
import { Histogram } from "./histogram.ts";
import { Meter, STAMP_BYTES, Stamps } from "./meter.ts";
import { Schedule } from "./schedule.ts";
import { awaitMessages, type Outcome, type Progressing, type Spec, STALL_MS } from "./spec.ts";

/** A broker, and how to send to it and receive from it. */
export interface BrokerSpec extends Spec {
  readonly target: Target;
  /** The address in the report. */
  readonly endpoint: string;
  /** The number of senders and of receivers. */
  readonly senders: number;
  readonly receivers: number;
  /** How often each message arrives: as often as there are receivers if each of them gets a copy. */
  readonly copies: number;
  readonly prefetch: number | undefined;
  openOutlet(): { readonly outlet: Outlet; readonly envelope: Envelope };
  openInlet(events: InletEvents, prefetch: number): Inlet;
}

/** The longest wait for confirms, after which the end of the schedule is checked again, in milliseconds. */
const ROOM_MS = 100;

/** Runs a benchmark until its limits or a signal end it. */
export async function benchBroker(
  session: Session,
  spec: BrokerSpec,
  progress: Progressing,
): Promise<Outcome> {
  const { role, target } = spec;
  const received = new Meter();
  const inlets = role === "send" ? [] : Array.from({ length: spec.receivers }, () => inletOf(spec, received));
  const senders = role === "receive" ? [] : Array.from({ length: spec.senders }, () => spec.openOutlet());
  const links = [...inlets, ...senders.map(({ outlet }) => outlet)];
  let outcome: Outcome | undefined;
  try {
    // The receivers come first: the first of them may create the queue, and all must be subscribed.
    for (const link of links) await startWithin(target, spec.timeout, link.start());
    outcome = senders.length === 0
      ? await receive(session, spec, inlets, received, progress)
      : await send(session, spec, senders, received, progress);
    return outcome;
  } finally {
    await farewell(session, outcome?.failure, async (limit) => {
      await Promise.all(inlets.map((inlet) => inlet.cancel(limit)));
      await Promise.all(links.map((link) => link.close(limit)));
    });
  }
}

function inletOf({ role, prefetch, limits, openInlet }: BrokerSpec, meter: Meter): Inlet {
  // Other messages of a queue that is not ours stay in it.
  const wanted = role === "receive" ? limits.count ?? Infinity : Infinity;
  const stamps = new Stamps();
  let last: Receipt | undefined;
  let generation = 0;
  let tag = 0;
  const inlet: Inlet = openInlet({
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
      if (tag === last?.tag && generation === inlet.generation || tag === 0) return;
      generation = inlet.generation;
      last = { generation, tag };
      inlet.ack(last, true);
      inlet.flush();
    },
  }, Math.min(prefetch ?? 1000, wanted));
  return inlet;
}

async function send(
  session: Session,
  { role, size, limits, timeout, copies, endpoint }: BrokerSpec,
  senders: readonly { readonly outlet: Outlet; readonly envelope: Envelope }[],
  received: Meter,
  progress: Progressing,
): Promise<Outcome> {
  const outlets = senders.map(({ outlet }) => outlet);
  const sent = new Meter();
  const confirmed = new Meter();
  const confirms = new Histogram();
  const began = performance.now();
  sent.began = confirmed.began = began;
  if (role === "both") received.began = began;
  progress.watch(() => confirmed.messages, "confirmed");
  session.onStop(() => outlets.forEach(({ changed }) => changed.fire()));
  const schedules = outlets.map((_, at) => new Schedule(session, limits, began, at, outlets.length));
  await Promise.all(senders.map(({ outlet, envelope }, at) => {
    const sink = new OutletSink(outlet, envelope, size, schedules[at]!, confirmed, confirms);
    return generate(sink, size, schedules[at]!, sent);
  }));
  const hasFailed = () => outlets.some(({ failure }) => failure !== undefined);
  const settled = () => outlets.every(({ pending }) => pending === 0) || hasFailed();
  const limit = timeout ?? STALL_MS;
  const confirmedAll = await awaitMessages(session, settled, () => confirmed.messages, limit);
  const measured = {
    sent,
    confirmed,
    confirmLatency: confirms,
    ...(role === "both" ? { received, latency: received.latency } : {}),
  };
  const failure = outlets.find(({ failure }) => failure !== undefined)?.failure ?? refusal(outlets);
  if (failure !== undefined) return { endpoint, measured, failure };
  if (!confirmedAll) {
    const late = new TimeoutError(`the broker confirmed nothing for ${limit / 1000} s (-w)`);
    return { endpoint, measured, failure: late };
  }
  if (role !== "both") return { endpoint, measured };
  const expected = confirmed.messages * copies;
  const isOver = () => received.messages >= expected;
  const arrived = await awaitMessages(session, isOver, () => received.messages, limit);
  return { endpoint, measured, lost: arrived ? 0 : expected - received.messages };
}

/** The error for messages that the broker did not take. */
function refusal(outlets: readonly Outlet[]): Error | undefined {
  for (const { refused, refusalReason, returned, returnReason } of outlets) {
    if (returned > 0) return new Error(`${returned} messages came back: ${returnReason}`);
    if (refused > 0) {
      return new Error(`the broker refused ${refused} messages${refusalReason && `: ${refusalReason}`}`);
    }
  }
  return undefined;
}

async function receive(
  session: Session,
  { limits: { count = Infinity, duration = Infinity }, timeout, endpoint }: BrokerSpec,
  inlets: readonly Inlet[],
  received: Meter,
  progress: Progressing,
): Promise<Outcome> {
  progress.watch(() => received.messages, "received");
  const failureOf = () => inlets.find(({ failure }) => failure !== undefined)?.failure;
  const isOver = () => {
    if (received.messages >= count || failureOf() !== undefined) return true;
    return received.began !== undefined && performance.now() - received.began >= duration;
  };
  const arrived = await awaitMessages(session, isOver, () => received.messages, timeout);
  const late = () => new TimeoutError(`no message arrived for ${timeout! / 1000} s (-w)`);
  return { endpoint, measured: { received }, failure: arrived ? failureOf() : late() };
}

class OutletSink implements Sink {
  readonly #outlet: Outlet;
  readonly #envelope: Envelope;
  readonly #size: number;
  readonly #schedule: Schedule;
  readonly #confirmed: Meter;
  readonly #latency: Histogram;

  constructor(
    outlet: Outlet,
    envelope: Envelope,
    size: number,
    schedule: Schedule,
    confirmed: Meter,
    latency: Histogram,
  ) {
    this.#outlet = outlet;
    this.#envelope = envelope;
    this.#size = size;
    this.#schedule = schedule;
    this.#confirmed = confirmed;
    this.#latency = latency;
  }

  get failure(): Error | undefined {
    return this.#outlet.failure;
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
    const end = this.#outlet.publish(batch, from, to, this.#envelope, outcome);
    taken = end - from;
    return end;
  }

  async writable(): Promise<void> {
    await this.#outlet.changed.wait(ROOM_MS);
  }
}
