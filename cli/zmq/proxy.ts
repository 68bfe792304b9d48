import type { Duplex } from "../../lib/zmq/duplex.ts";
import type { Forwarding, Inspector } from "../../lib/zmq/forward.ts";
import { TopicFilter } from "../../lib/zmq/incoming/topic_filter.ts";
import type { Receiver } from "../../lib/zmq/receiver.ts";
import type { Sender } from "../../lib/zmq/sender.ts";
import type { Batch } from "../../lib/zmtp/batch.ts";
import { EXIT, TimeoutError } from "../app/errors.ts";
import { Progress } from "../app/progress.ts";
import type { Session } from "../app/session.ts";
import { messages, reportDropped } from "../app/tally.ts";
import type { EndpointPlan } from "../options/endpoints.ts";
import { DEFAULT_LINGER_MS } from "../options/options.ts";
import { filterOf } from "../options/where.ts";
import { recordWriter } from "../records/writer.ts";
import { type Device, DEVICES, type Pattern, type ProxyOptions } from "./devices.ts";
import { attach, socketOptions } from "./socket.ts";
import { Tap, type TapForm } from "./tap.ts";
import { BatchFilter } from "./where.ts";

/** The endpoints of a proxy to bind and to connect. */
export interface ProxyPlans {
  readonly from: EndpointPlan;
  readonly to: EndpointPlan;
  readonly tap: EndpointPlan | undefined;
}

/** The traffic as the tap sees it. */
const BATCHES: TapForm<Batch> = {
  writer(output, style) {
    const writer = recordWriter(output, style);
    return (batch, endpoint) => writer.write(batch, 0, batch.frames, endpoint);
  },
  batchOf: (batch) => batch,
};

/** Forwards messages until a signal or another condition ends the proxy. */
export async function proxy(
  session: Session,
  pattern: Pattern,
  plans: ProxyPlans,
  topics: readonly Uint8Array[],
  options: ProxyOptions,
): Promise<void> {
  const { counts } = session;
  const settings = { ...await socketOptions(session, options), hwm: options.hwm };
  const tap = new Tap<Batch>(session, options, plans.tap, settings, BATCHES);
  const filter = topics.length === 0 ? undefined : new TopicFilter();
  for (const topic of topics) filter?.add(topic);
  const wanted = await filterOf(options);
  const selected = wanted === undefined ? undefined : new BatchFilter(wanted);
  const inspector: Inspector = {
    inspect(batch, peer) {
      filter?.apply(batch);
      selected?.apply(batch);
      counts.received += batch.messages;
      counts.bytes += batch.countBytes(0, batch.frames);
      if (batch.messages === 0) return;
      tap.take(batch, peer.remote);
      tap.flush();
    },
    get full() {
      return tap.full;
    },
  };
  const device = DEVICES[pattern]({ settings, options, topics, inspector, wantsAll: tap.on });
  const { from, to, ways } = device;
  tap.onChange = () => {
    if (tap.failed) from.wake();
    for (const way of ways) way.look();
  };
  const progress = new Progress(session, () => counts.received, () => {
    return `forwarded, ${from.peers} to ${to.peers} peers, ${device.dropped()} dropped`;
  });
  try {
    // Senders must find a receiver, so the receiving side is opened first.
    const bound = await attach(session, to, plans.to);
    await tap.open();
    session.ready([...await attach(session, from, plans.from), ...bound]);
    await untilEnd(session, device, tap, options);
  } finally {
    progress.end();
    ways[0]!.stop();
    const linger = options.linger ?? DEFAULT_LINGER_MS;
    await settle(to, ways, linger);
    const held = ways.reduce((sum, way) => sum + way.held, 0);
    const replies = await from.close(pattern === "reqrep" ? linger : 0);
    const unsent = held + replies + await to.close(linger);
    await tap.close();
    counts.unsent = unsent;
    counts.sent = counts.received - held;
    if (unsent > 0) {
      session.reporter.error(`${messages(unsent)} could not be delivered`);
      session.exitCode ||= EXIT.undelivered;
    }
    reportDropped(session, device.dropped(), "peers that were gone or did not keep up");
  }
}

async function untilEnd(
  session: Session,
  { from, to }: Device,
  tap: Tap<Batch>,
  options: ProxyOptions,
): Promise<void> {
  const { timeout, transient } = options;
  const { counts } = session;
  wakeAtFailure(to, from);
  let received = 0;
  let lastAt = performance.now();
  while (!session.stopping && !tap.failed && !(transient && from.abandoned)) {
    const failure = from.failure ?? to.failure;
    if (failure !== undefined) throw failure;
    if (counts.received !== received) [received, lastAt] = [counts.received, performance.now()];
    const left = timeout === undefined ? Infinity : lastAt + timeout - performance.now();
    if (left <= 0) throw new TimeoutError(`no message arrived for ${timeout! / 1000} s (-w)`);
    await from.change(left);
  }
}

/** Ends the wait for one socket when the other one has failed. */
async function wakeAtFailure(socket: Sender, waiting: Receiver | Duplex): Promise<void> {
  while (socket.failure === undefined && !socket.closed) await socket.change();
  waiting.wake();
}

/** Waits until received messages are queued in the other socket, for at most `linger` milliseconds. */
async function settle(to: Sender, ways: readonly Forwarding[], linger: number): Promise<void> {
  const deadline = performance.now() + linger;
  while (ways.some((way) => way.held > 0) && to.failure === undefined) {
    const left = deadline - performance.now();
    if (left <= 0) return;
    await to.writable(left);
  }
}
