import { Consumer } from "../../lib/amqp/client/consumer.ts";
import { endsLink } from "../../lib/amqp/client/errors.ts";
import { Publisher } from "../../lib/amqp/client/publisher.ts";
import { addressing, type Readdress } from "../../lib/patterns/bridge/addressing.ts";
import { pushTo } from "../../lib/patterns/amqp/send.ts";
import { keeping } from "../../lib/patterns/amqp/why_away.ts";
import { Bridge } from "../../lib/patterns/bridge/bridge.ts";
import type { InletEvents } from "../../lib/patterns/contract.ts";
import { SelectedInlet } from "../../lib/patterns/selected_inlet.ts";
import { EXIT } from "../app/errors.ts";
import { Progress } from "../app/progress.ts";
import type { Session } from "../app/session.ts";
import { cross } from "../bridge/crossing.ts";
import { reportHeld, requireForce, selectionOf, type WhereValues } from "../options/where.ts";
import { requireQueue } from "./existence.ts";
import { startWithin } from "../brokers/link.ts";
import { report } from "../brokers/put.ts";
import { countRedelivery } from "../brokers/redelivery.ts";
import { KnownQueues } from "./known_queues.ts";
import { placesText, stayText } from "./places.ts";
import { isStream, keepsMessages, offsetOf, SUSPICION_MS } from "./streams.ts";
import { type BrokerTarget, near } from "./target.ts";

/** How long to wait for the last confirms, in milliseconds. */
const LAST_MS = 30_000;
/** The interval of reports while it follows a queue, in milliseconds. */
const REPORT_MS = 60_000;

/** The values of the options of `queue move` and `queue redrive`. */
export interface MoveOptions extends WhereValues {
  readonly count: number | undefined;
  readonly timeout: number | undefined;
  readonly prefetch: number | undefined;
  /** Whether to create the target queue if it does not exist. */
  readonly declare: boolean | undefined;
  /** Whether to wait for more messages when the queue is empty, and for room when the target is full. */
  readonly follow?: boolean | undefined;
  /** The number of messages that the queue has now: only these are moved. */
  readonly present?: number;
}

/** The source of messages. */
export interface Origin extends BrokerTarget {
  readonly queue: string;
}

/** The destination of messages. */
export interface Destination extends BrokerTarget {
  /** The queue for all of them; undefined: `readdress` decides for each. */
  readonly queue: string | undefined;
  readonly readdress: Readdress;
}

/**
 * Moves messages until the queue is empty, or for ever with `follow`: each one is acknowledged only after its copy is
 * confirmed.
 */
export async function moveAll(
  session: Session,
  from: Origin,
  to: Destination,
  options: MoveOptions,
): Promise<void> {
  const { count, timeout, present, declare = false, follow = false, where } = options;
  const { counts } = session;
  const prefetch = Math.min(options.prefetch ?? 1000, count ?? Infinity, 65535);
  /** The number of messages for each queue. */
  const targets = new Map<string, number>();
  /** The messages that came again after a lost connection: they may have been forwarded before. */
  let again = 0;
  const known = to.queue === undefined ? new KnownQueues(to) : undefined;
  const publisher = to.queue === undefined
    ? new Publisher(to.brokers, keeping(to.brokers, to.link))
    : pushTo(to.brokers, to.queue, {
      ...to.link,
      waitsForRoom: follow,
      prepare: async (connection) => void await requireQueue(connection, to.queue!, declare),
    });
  const selection = await selectionOf(options, "hold");
  const readdress = addressing(to.readdress);
  const open = (events: InletEvents) =>
    new Consumer(from.brokers, from.queue, {
      ...near(from, from.queue).link,
      ...events,
      prefetch,
      where,
      drain: !follow,
      prepare: async (connection) => {
        await requireQueue(connection, from.queue);
        if (!connection.sweeps) requireForce(options, from.queue);
      },
    });
  const receive = (events: InletEvents) =>
    selection === undefined ? open(events) : new SelectedInlet(selection, open, events);
  const bridge: Bridge = new Bridge(publisher, receive, {
    address(delivery) {
      if (bridge.taken === 1 && offsetOf(delivery) !== undefined) bridge.fail(keepsMessages(from.queue));
      countRedelivery(counts, delivery);
      if (delivery.redelivered && bridge.inlet.generation > 1) again++;
      return readdress(delivery);
    },
    admit: known === undefined ? undefined : ({ routingKey }) => known.admit(routingKey, bridge),
    onForwarded: ({ routingKey }) => targets.set(routingKey, (targets.get(routingKey) ?? 0) + 1),
    count,
    present,
    prefetch,
  });
  let asked = false;
  const isDrained = async () => {
    const isDrained = await bridge.inlet.isDrained!();
    const isQuiet = performance.now() - bridge.lastAt >= SUSPICION_MS;
    if (asked || bridge.taken > 0 || !isDrained && !isQuiet) return isDrained;
    asked = true;
    try {
      if (await isStream(from, from.queue)) bridge.fail(keepsMessages(from.queue));
    } catch (error) {
      if (endsLink(error)) bridge.fail(error as Error);
      else asked = false;
    }
    return false;
  };
  counts.redelivered = 0;
  const progress = new Progress(session, () => bridge.forwarded, "moved");
  const reports = follow ? setInterval(reporterOf(session, bridge), REPORT_MS) : undefined;
  let started = false;
  try {
    await cross(session, bridge, {
      async start() {
        await startWithin(to, timeout, publisher.start());
        await startWithin(from, timeout, bridge.inlet.start());
        started = true;
      },
      timeout,
      silence: "nothing moved",
      linger: LAST_MS,
      lingerAfterTimeout: 0,
      isDrained: follow ? undefined : isDrained,
    });
  } finally {
    known?.stop();
    progress.end();
    clearInterval(reports);
    if (started) {
      counts.received = bridge.taken;
      report(session, publisher, bridge.published);
      reportMoved(session, bridge, from.queue, to.queue, targets, again);
      reportHeld(session, selection);
      if (bridge.keptCount > 0) reportKept(session, bridge, from.queue, prefetch, count);
    }
  }
}

/** Reports how many messages have been moved since the last call, if there are any and no progress line shows it. */
function reporterOf({ reporter }: Session, bridge: Bridge): () => void {
  let before = 0;
  return () => {
    const { forwarded } = bridge;
    if (forwarded > before && !reporter.hasTerminal) {
      reporter.info(
        `moved ${forwarded - before} messages in the last ${REPORT_MS / 1000} s, ${forwarded} in all`,
      );
    }
    before = forwarded;
  };
}

/** Reports the moved messages, and where they are. */
function reportMoved(
  { reporter, counts }: Session,
  { forwarded, keptCount, failure }: Bridge,
  from: string,
  to: string | undefined,
  targets: ReadonlyMap<string, number>,
  again: number,
): void {
  // The line that follows is sufficient.
  if (forwarded === 0 && (failure !== undefined || keptCount > 0)) return;
  const twice = (counts.resent ?? 0) + again;
  const doubt = twice === 0 ? "" : `; after a lost connection up to ${twice} of them may be there twice`;
  if (to !== undefined) return reporter.info(`moved ${forwarded} from '${from}' to '${to}'${doubt}`);
  reporter.info(`moved ${forwarded} from '${from}'${placesText(targets)}${doubt}`);
}

/** Reports the messages that stay, with the reasons. */
function reportKept(
  session: Session,
  { kept, keptCount }: Bridge,
  from: string,
  prefetch: number,
  wanted = Infinity,
): void {
  const unread = keptCount < prefetch || prefetch >= wanted
    ? ""
    : ", and the messages after them were not read";
  session.reporter.error(stayText(keptCount, from, kept, unread));
  session.exitCode = EXIT.undelivered;
}
