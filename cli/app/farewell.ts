import { TimeoutError } from "./errors.ts";
import type { Session } from "./session.ts";

/** The time limit for the replies of the other side at the end, after a signal or a timeout, in milliseconds. */
const HURRIED_MS = 300;

/**
 * Waits for the last replies of the other side: for a short time after a signal or a timeout, else for the time of the
 * client or until a signal.
 *
 * @param failure what ended the work, if anything did
 * @param say sends the last methods; its argument is the time limit in milliseconds, or undefined for the default
 */
export async function farewell(
  session: Session,
  failure: unknown,
  say: (limit?: number) => Promise<void>,
): Promise<void> {
  if (session.stopping || failure instanceof TimeoutError) await say(HURRIED_MS);
  else await session.untilStopped(say());
}
