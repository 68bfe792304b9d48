import type { Bridge } from "../../lib/patterns/bridge/bridge.ts";
import { TimeoutError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { unsentWait } from "../app/tally.ts";
import { farewell } from "../brokers/link.ts";

/** The interval between checks of an empty source, in milliseconds. */
const LOOK_MS = 50;

/** How a bridge starts, and what ends it. */
export interface CrossingOptions {
  /** Starts the two ends. It fails if they cannot be used. */
  start(): Promise<void>;
  /** The end after which no message has arrived for so long, in milliseconds. */
  readonly timeout: number | undefined;
  /** What did not happen then: `nothing moved`. */
  readonly silence: string;
  /** How long to wait at the end until received messages are forwarded, in milliseconds. */
  readonly linger: number;
  /** The same after `timeout`. Default: `linger` */
  readonly lingerAfterTimeout?: number;
  /** Whether the source is empty, which ends the bridge. Default: an empty source does not end it */
  readonly isDrained?: (() => Promise<boolean>) | undefined;
  /** Whether something else ends the bridge. */
  readonly isOver?: (() => boolean) | undefined;
}

/**
 * Runs a bridge until the wanted messages are forwarded, the source is empty, nothing arrives in time, a message is refused,
 * one end fails, or a signal arrives. Then it forwards the received messages and closes both ends.
 *
 * @throws the failure that ended it
 */
export async function cross(session: Session, bridge: Bridge, options: CrossingOptions): Promise<void> {
  session.onStop(() => bridge.changed.fire());
  session.explainWait(() => unsentWait(bridge.outlet.pending, options.linger));
  try {
    await options.start();
    await untilDone(session, bridge, options);
    const { linger, lingerAfterTimeout = linger } = options;
    await bridge.finish(
      bridge.failure instanceof TimeoutError ? lingerAfterTimeout : linger,
      () => farewell(session, bridge.failure, (limit) => bridge.inlet.cancel(limit)),
    );
  } finally {
    await farewell(session, bridge.failure, (limit) => bridge.close(limit));
  }
  if (bridge.failure !== undefined) throw bridge.failure;
}

async function untilDone(session: Session, bridge: Bridge, options: CrossingOptions): Promise<void> {
  const { timeout, silence, isDrained, isOver } = options;
  while (!session.stopping && !bridge.isComplete && !bridge.isStuck && !isOver?.()) {
    if (bridge.failure !== undefined) return;
    const left = timeout === undefined ? Infinity : bridge.lastAt + timeout - performance.now();
    if (isDrained !== undefined && bridge.isIdle && await session.untilStopped(isDrained(), left)) return;
    if (left <= 0) return bridge.fail(new TimeoutError(`${silence} for ${timeout! / 1000} s (-w)`));
    await bridge.changed.wait(isDrained === undefined ? left : LOOK_MS);
  }
}
