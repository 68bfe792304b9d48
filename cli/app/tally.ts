/** Reports the counts of lost messages on stderr and by the exit code. */
import { EXIT } from "./errors.ts";
import type { Session } from "./session.ts";

/** `1 message`, `3 messages`. */
export function messages(count: number): string {
  return `${count} message${count === 1 ? "" : "s"}`;
}

/** `1 queue`, `3 queues`. */
export function queues(count: number): string {
  return `${count} queue${count === 1 ? "" : "s"}`;
}

/** What a command waits for: `up to 30 s for 3 unsent messages`; undefined without unsent messages. */
export function unsentWait(count: number, linger: number): string | undefined {
  if (count === 0 || linger <= 0) return undefined;
  return `up to ${Math.round(linger / 100) / 10} s for ${count} unsent message${count === 1 ? "" : "s"}`;
}

/** Counts and reports messages that could not be delivered; the exit code becomes 5, unless it is set already. */
export function reportUnsent(session: Session, count: number): void {
  if (count === 0) return;
  session.counts.unsent += count;
  session.reporter.error(`${messages(count)} could not be delivered`);
  session.exitCode ||= EXIT.undelivered;
}

/**
 * Counts and reports messages that a socket dropped; the exit code becomes 5, unless it is set already.
 *
 * @param recipients who should have received them
 */
export function reportDropped(session: Session, count: number, recipients: string): void {
  if (count === 0) return;
  session.counts.dropped += count;
  session.reporter.error(`dropped ${messages(count)} for ${recipients}`);
  session.exitCode ||= EXIT.undelivered;
}
