import { Consumer } from "../../lib/amqp/client/consumer.ts";
import { connectBroker, patiently } from "../../lib/amqp/client/link.ts";
import { Publisher } from "../../lib/amqp/client/publisher.ts";
import { findQueue } from "../../lib/amqp/client/queues.ts";
import { addressing, type Readdress } from "../../lib/patterns/bridge/addressing.ts";
import { pushTo } from "../../lib/patterns/amqp/send.ts";
import { keeping } from "../../lib/patterns/amqp/why_away.ts";
import { Bridge } from "../../lib/patterns/bridge/bridge.ts";
import { EXIT } from "../app/errors.ts";
import { Progress } from "../app/progress.ts";
import type { Session } from "../app/session.ts";
import { messages } from "../app/tally.ts";
import { cross } from "../bridge/crossing.ts";
import { requireQueue } from "./existence.ts";
import { report } from "../brokers/put.ts";
import { refuseStream, SUSPICION_MS } from "./streams.ts";
import { startWithin } from "../brokers/link.ts";
import { type BrokerTarget, near } from "./target.ts";

/** How long to wait for the last confirms, in milliseconds. */
const LAST_MS = 30_000;
/** The maximum number of queues in the final report. */
const NAMED = 5;

/** The values of the options of `queue move` and `queue redrive`. */
export interface MoveOptions {
  readonly count: number | undefined;
  readonly timeout: number | undefined;
  readonly prefetch: number | undefined;
  /** Whether to create the target queue if it does not exist. */
  readonly declare: boolean | undefined;
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

/** Moves messages until the queue is empty: each one is acknowledged only after its copy is confirmed. */
export async function moveAll(
  session: Session,
  from: Origin,
  to: Destination,
  options: MoveOptions,
): Promise<void> {
  const { count, timeout, present, declare = false } = options;
  const prefetch = Math.min(options.prefetch ?? 1000, count ?? Infinity, 65535);
  /** The number of messages for each queue. */
  const targets = new Map<string, number>();
  const known = to.queue === undefined ? new KnownQueues(to) : undefined;
  const publisher = to.queue === undefined
    ? new Publisher(to.brokers, keeping(to.brokers, to.link))
    : pushTo(to.brokers, to.queue, {
      ...to.link,
      prepare: async (connection) => void await requireQueue(connection, to.queue!, declare),
    });
  const bridge: Bridge = new Bridge(publisher, (events) =>
    new Consumer(from.brokers, from.queue, {
      ...near(from, from.queue).link,
      ...events,
      prefetch,
      prepare: async (connection) => void await requireQueue(connection, from.queue),
    }), {
    address: addressing(to.readdress),
    admit: known === undefined ? undefined : ({ routingKey }) => known.admit(routingKey, bridge),
    onForwarded: ({ routingKey }) => targets.set(routingKey, (targets.get(routingKey) ?? 0) + 1),
    count,
    present,
    prefetch,
  });
  const progress = new Progress(session, () => bridge.forwarded, "moved");
  let started = false;
  let asked = false;
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
      async isDrained() {
        const isDrained = await bridge.inlet.isDrained!();
        const isQuiet = performance.now() - bridge.lastAt >= SUSPICION_MS;
        if (asked || bridge.taken > 0 || !isDrained && !isQuiet) return isDrained;
        asked = true;
        await refuseStream(from, from.queue, "move").catch((error) => bridge.fail(error));
        return false;
      },
    });
  } finally {
    progress.end();
    if (started) {
      session.counts.received = bridge.taken;
      report(session, publisher, bridge.published);
      reportMoved(session, bridge, from.queue, to.queue, targets);
      if (bridge.keptCount > 0) reportKept(session, bridge, from.queue, prefetch, count);
    }
  }
}

/** Reports the moved messages, and where they are. */
function reportMoved(
  { reporter }: Session,
  { forwarded, keptCount, failure }: Bridge,
  from: string,
  to: string | undefined,
  targets: ReadonlyMap<string, number>,
): void {
  // The line that follows is sufficient.
  if (forwarded === 0 && (failure !== undefined || keptCount > 0)) return;
  if (to !== undefined) return reporter.info(`moved ${forwarded} from '${from}' to '${to}'`);
  const named = [...targets].slice(0, NAMED).map(([name, count]) => `${count} to '${name}'`);
  if (targets.size > NAMED) named.push(`others to ${targets.size - NAMED} more queues`);
  reporter.info(`moved ${forwarded} from '${from}'${named.length === 0 ? "" : `: ${named.join(", ")}`}`);
}

/** Reports the messages that stay, with the reasons. */
function reportKept(
  session: Session,
  { kept, keptCount }: Bridge,
  from: string,
  prefetch: number,
  wanted = Infinity,
): void {
  const reasons = [...kept].map(([reason, count]) => `${count} ${reason}`).join(", ");
  const unread = keptCount < prefetch || prefetch >= wanted
    ? ""
    : ", and the messages after them were not read";
  session.reporter.error(
    `${messages(keptCount)} stay in '${from}': ${reasons}${unread} (--to QUEUE moves them there)`,
  );
  session.exitCode = EXIT.undelivered;
}

/** The original queues of dead letters, and whether they exist. */
class KnownQueues {
  readonly #target: BrokerTarget;
  /** Undefined while the broker is asked. */
  readonly #exists = new Map<string, boolean | undefined>();

  constructor(target: BrokerTarget) {
    this.#target = target;
  }

  /** Whether a queue exists: true, the reason why its messages stay, or undefined while it is not known. */
  admit(queue: string, bridge: Bridge): true | string | undefined {
    if (!this.#exists.has(queue)) this.#ask(queue, bridge);
    const exists = this.#exists.get(queue);
    return exists === false ? `from '${queue}', which does not exist` : exists;
  }

  /** Asks on a separate connection. */
  async #ask(queue: string, bridge: Bridge): Promise<void> {
    this.#exists.set(queue, undefined);
    try {
      const { brokers, link } = this.#target;
      await patiently(link, async () => {
        const connection = await connectBroker(brokers, link);
        try {
          this.#exists.set(queue, await findQueue(connection, queue) !== undefined);
        } finally {
          await connection.close();
        }
      });
    } catch (error) {
      bridge.fail(error as Error);
    }
    bridge.proceed();
  }
}
