/** `proxy` between systems: a bridge that forwards at least once. */
import { addressing } from "../../lib/patterns/bridge/addressing.ts";
import { Bridge } from "../../lib/patterns/bridge/bridge.ts";
import { headerOf } from "../../lib/patterns/bridge/headers.ts";
import { readdress } from "../../lib/patterns/bridge/readdress.ts";
import type { Delivery, InletEvents } from "../../lib/patterns/contract.ts";
import { SelectedInlet } from "../../lib/patterns/selected_inlet.ts";
import { messageOf } from "../../lib/errors.ts";
import { compileRewrite, type Rewrite } from "../../lib/regex/pattern.ts";
import { Batch } from "../../lib/zmtp/batch.ts";
import { utf8 } from "../../lib/zmtp/bytes.ts";
import { EXIT, UsageError } from "../app/errors.ts";
import { Progress } from "../app/progress.ts";
import type { Session } from "../app/session.ts";
import { messages, reportDropped } from "../app/tally.ts";
import { report } from "../brokers/put.ts";
import { queueWriter } from "../brokers/records.ts";
import { countRedelivery } from "../brokers/redelivery.ts";
import { unsentParts } from "../options/systems.ts";
import type { EndpointPlan } from "../options/endpoints.ts";
import { DEFAULT_LINGER_MS } from "../options/options.ts";
import { reportHeld, selectionOf } from "../options/where.ts";
import { socketOptions } from "../zmq/socket.ts";
import { Tap, type TapForm } from "../zmq/tap.ts";
import { cross } from "./crossing.ts";
import { sidesOf, type TopicRule } from "./patterns.ts";
import type { BridgeValues, SourceSide } from "./contract.ts";
import { makeSides } from "./sides.ts";

/** The default of `--prefetch`. */
const PREFETCH = 1000;

/** The traffic as the tap sees it: a topic is the first of two frames. */
const DELIVERIES: TapForm<Delivery> = {
  writer: queueWriter,
  batchOf({ routingKey, content: { body, bodyStart, bodyEnd } }) {
    const frame = body.subarray(bodyStart, bodyEnd);
    return Batch.of(routingKey === "" ? [frame.slice()] : [utf8(routingKey), frame]);
  },
};

/** Forwards messages from one side to the other until a signal or another condition ends it. */
export async function bridge(
  session: Session,
  pattern: string,
  tapPlan: EndpointPlan | undefined,
  values: BridgeValues,
): Promise<void> {
  const { counts, reporter } = session;
  const { count, timeout, transient } = values;
  const rewrites = values.topicMap.map(rewriteOf);
  const { from, to } = await makeSides(session, sidesOf(pattern), values);
  const tap = new Tap(
    session,
    values,
    tapPlan,
    tapPlan === undefined ? {} : await socketOptions(session, values),
    DELIVERIES,
  );
  const prefetch = Math.min(values.prefetch ?? PREFETCH, count ?? Infinity);
  const address = addressing(
    readdress(
      from,
      to,
      rewrites,
      (names) => reporter.warn(unsentParts(to.system, names)),
    ),
  );
  const selection = await selectionOf(values, from.isLossy ? "drop" : "hold");
  const open = (events: InletEvents) =>
    from.open({
      onDelivery: events.onDelivery,
      onBatchEnd() {
        tap.flush();
        events.onBatchEnd?.();
      },
    }, prefetch);
  const receive = (events: InletEvents) =>
    selection === undefined ? open(events) : new SelectedInlet(selection, open, events);
  const crossing: Bridge = new Bridge(to.outlet, receive, {
    address(delivery) {
      if (crossing.taken === 1) refuseStream(crossing, delivery);
      countRedelivery(counts, delivery);
      tap.take(delivery, crossing.inlet.broker ?? from.endpoint);
      return address(delivery);
    },
    isFull: () => tap.full,
    onKept: (reason) =>
      reporter.warn(
        from.isLossy ? `dropped a message ${reason}` : `a message ${reason} stays at its source`,
      ),
    count,
    prefetch: from.isLossy ? undefined : prefetch,
    isLossy: from.isLossy,
  });
  tap.onChange = () => crossing.proceed();
  // ZeroMQ delivers a message only once.
  if (from.system !== "zmq") counts.redelivered = 0;
  const progress = new Progress(
    session,
    () => crossing.forwarded,
    () => `forwarded, ${to.outlet.pending} on the way`,
  );
  let isStarted = false;
  try {
    await cross(session, crossing, {
      async start() {
        const there = await to.start();
        await tap.open();
        session.ready([...await from.start(crossing.inlet), ...there]);
        isStarted = true;
      },
      timeout,
      silence: "no message arrived",
      linger: values.linger ?? DEFAULT_LINGER_MS,
      isOver: () => tap.failed || (transient ?? false) && (from.isAbandoned?.() ?? false),
    });
  } finally {
    progress.end();
    await tap.close();
    if (isStarted) {
      counts.received = crossing.taken;
      counts.bytes = crossing.bytes;
      report(session, to.outlet, from.isLossy ? crossing.taken - crossing.keptCount : crossing.published);
      reportRest(session, crossing, from);
      reportHeld(session, selection);
      reportDropped(session, to.dropped?.() ?? 0, "subscribers that did not keep up");
    }
  }
}

/** Reports the messages that could not be forwarded: they stay at a broker, and are lost at ZeroMQ. */
function reportRest(session: Session, { kept, keptCount }: Bridge, from: SourceSide): void {
  const unfit = from.unfit?.() ?? 0;
  if (keptCount + unfit === 0) return;
  const reasons = [...kept].map(([reason, count]) => `${count} ${reason}`);
  if (unfit > 0) reasons.push(`${unfit} of more than two frames`);
  const fate = from.isLossy
    ? `dropped ${messages(keptCount + unfit)}`
    : `${messages(keptCount)} stay at ${from.endpoint}`;
  session.reporter.error(`${fate}: ${reasons.join(", ")}`);
  if (from.isLossy) session.counts.dropped += keptCount + unfit;
  session.exitCode ||= EXIT.undelivered;
}

/** The messages of a stream are not removed by acknowledgements, so each start of a bridge would forward them again. */
function refuseStream(bridge: Bridge, { content: { properties, propertiesEnd } }: Delivery): void {
  if (headerOf(properties.subarray(0, propertiesEnd), "x-stream-offset") === undefined) return;
  bridge.fail(
    new Error(
      "the source is a stream, whose messages can be read but not removed: " +
        "mqcat pull ADDRESS --offset first -J | mqcat push OTHER -J copies them",
    ),
  );
}

function rewriteOf({ pattern, replacement }: TopicRule): Rewrite {
  try {
    return compileRewrite(pattern, replacement);
  } catch (error) {
    throw new UsageError(`--topic-map: ${messageOf(error)}`);
  }
}
