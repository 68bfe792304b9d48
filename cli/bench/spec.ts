import type { Session } from "../app/session.ts";
import type { Measured } from "./report.ts";
import type { Limits } from "./schedule.ts";

/** The benchmarks, by the sockets that they use. */
export const BENCHMARKS = ["push-pull", "pub-sub", "req-rep", "queue"] as const;
export type Benchmark = typeof BENCHMARKS[number];

/** Which sides are in this process. */
export const ROLES = ["both", "send", "receive"] as const;
export type Role = typeof ROLES[number];

/** What to measure. Times are in milliseconds. */
export interface Spec {
  readonly role: Role;
  /** The size of a message, in bytes. */
  readonly size: number;
  readonly limits: Limits;
  /** The number of sockets or connections on the side that connects. */
  readonly clients: number;
  /** Gives up when no message was sent or received for this long. */
  readonly timeout: number | undefined;
}

/** The result of a run: the figures so far, and the error that ended it. */
export interface Outcome {
  readonly endpoint: string;
  /** What else changes the work; see the settings of the report. */
  readonly variant?: string;
  readonly measured: Measured;
  readonly failure?: unknown;
  /** Messages that were sent to this process and did not arrive. */
  readonly lost?: number;
}

/** A running benchmark, as the progress line shows it. */
export interface Progressing {
  /** Shows the messages that this returns from now on. */
  watch(count: () => number, what: string): void;
}

/** The default time limit when both sides are in this process: then a stall is a fault, in milliseconds. */
export const STALL_MS = 10_000;
/** How often conditions without an event are checked, in milliseconds. */
const LOOK_MS = 5;

/**
 * Waits until a condition holds, a signal arrives, or nothing happens for too long.
 *
 * @param count returns the number of messages so far
 * @returns whether the condition holds or a signal has arrived; false: nothing happened for `limit` milliseconds
 */
export async function awaitMessages(
  session: Session,
  isOver: () => boolean,
  count: () => number,
  limit: number | undefined,
): Promise<boolean> {
  let last = count();
  let changedAt = performance.now();
  while (!isOver() && !session.stopping) {
    const now = performance.now();
    if (count() !== last) {
      last = count();
      changedAt = now;
    } else if (limit !== undefined && now - changedAt >= limit) return false;
    await session.sleep(LOOK_MS);
  }
  return true;
}
