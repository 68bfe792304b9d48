import type { Inlet, InletEvents } from "../../lib/patterns/contract.ts";
import { SelectedInlet } from "../../lib/patterns/selected_inlet.ts";
import { TimeoutError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { Output, outputFailure } from "../io/output.ts";
import { reportHeld, selectionOf, type WhereValues } from "../options/where.ts";
import type { RecordStyle } from "../records/writer.ts";
import { farewell, startWithin } from "./link.ts";
import { type QueueWriter, queueWriter } from "./records.ts";
import { countRedelivery } from "./redelivery.ts";
import { ExecSink, type Fate, PrintSink } from "./sinks.ts";
import type { Origin } from "./contract.ts";

/** The values of the options of a command that receives from a broker; times are in milliseconds. */
export interface GetOptions extends WhereValues {
  readonly count: number | undefined;
  readonly timeout: number | undefined;
  readonly drain?: boolean | undefined;
  readonly prefetch?: number | undefined;
  readonly exec: string | undefined;
  readonly jobs: number | undefined;
  readonly maxAttempts?: number | undefined;
  readonly onError?: Fate | undefined;
}

/** The interval between checks of an empty queue with `--drain`, in milliseconds. */
const LOOK_MS = 50;
/** The time without a message from a non-empty source after which `Origin.suspect` is called, in milliseconds. */
const SUSPICION_MS = 100;

/**
 * Receives messages until a limit, an error or a signal ends it, and acknowledges them when they are processed.
 *
 * @param style how messages are printed, or what writes them; undefined: they are not printed
 */
export async function getAll(
  session: Session,
  origin: Origin,
  style: RecordStyle | ((output: Output) => QueueWriter) | undefined,
  options: GetOptions,
): Promise<void> {
  const { counts } = session;
  const selection = await selectionOf(options, origin.others);
  counts.redelivered = 0;
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
  let asked = false;
  const events: InletEvents = {
    onDelivery(delivery) {
      // Other messages stay unacknowledged, and are delivered again after we disconnect.
      if (over || failure !== undefined) return;
      failure = origin.inspect?.(delivery);
      if (failure !== undefined) return inlet.changed.fire();
      lastAt = performance.now();
      counts.received++;
      counts.bytes += delivery.content.bodyEnd - delivery.content.bodyStart;
      countRedelivery(counts, delivery);
      sink.take(delivery, { generation: inlet.generation, tag: delivery.deliveryTag });
      over = counts.received >= wanted;
    },
    onBatchEnd() {
      sink.flush();
      if (output.full || sink.full) inlet.pause();
      if (over || options.drain) inlet.changed.fire();
    },
  };
  const open = (events: InletEvents) => origin.open(events, prefetch);
  const inlet = selection === undefined ? open(events) : new SelectedInlet(selection, open, events);
  output.onChange = () => {
    if (output.failure !== undefined) inlet.changed.fire();
    else if (!sink.full) inlet.resume();
  };
  const sink = options.exec === undefined || typeof style !== "object"
    ? new PrintSink(
      session,
      inlet,
      output,
      writerOf(output, style),
      wanted <= prefetch,
      () => over,
    )
    : new ExecSink(session, inlet, output, style, { ...options, exec: options.exec });
  session.onStop(() => inlet.changed.fire());
  await startWithin(origin, options.timeout, inlet.start()).catch((error) => {
    throw origin.explain?.(error) ?? error;
  });
  session.ready([origin.where]);

  while (!over && !session.stopping && !sink.stopped && output.failure === undefined) {
    failure ??= inlet.failure;
    if (failure !== undefined) break;
    const left = options.timeout === undefined || !sink.idle
      ? Infinity
      : lastAt + options.timeout - performance.now();
    if (options.drain && sink.idle && await session.untilStopped(isDrained(inlet), left)) break;
    if (options.drain && !asked && counts.received === 0 && performance.now() - lastAt >= SUSPICION_MS) {
      asked = true;
      failure = await session.untilStopped(suspicion(origin), left);
    }
    if (left <= 0) {
      failure = new TimeoutError(`no message arrived for ${options.timeout! / 1000} s (-w)`);
      break;
    }
    const look = options.drain || options.timeout !== undefined ? LOOK_MS : Infinity;
    await inlet.changed.wait(Math.min(left, look));
  }
  over = true;
  // The broker must not deliver more messages after the last acknowledgements.
  await farewell(session, failure, (limit) => inlet.cancel(limit));
  await sink.finish();
  await output.drained();
  await farewell(session, failure, (limit) => inlet.close(limit));
  reportHeld(session, selection);
  failure = outputFailure(session, output) ?? failure;
  if (failure !== undefined) throw failure;
}

function writerOf(output: Output, style: Parameters<typeof getAll>[2]): QueueWriter {
  if (style === undefined) return () => {};
  return typeof style === "function" ? style(output) : queueWriter(output, style);
}

/** Whether the source is empty; false where the system cannot know it. */
async function isDrained(inlet: Inlet): Promise<boolean> {
  return await inlet.isDrained?.() ?? false;
}

async function suspicion(origin: Origin): Promise<Error | undefined> {
  return await origin.suspect?.();
}
