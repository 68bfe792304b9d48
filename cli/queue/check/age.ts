/** The age of the oldest message of a queue, where it can be known. */
import type { QueueInfo } from "../../../lib/amqp/client/management.ts";

/** An age, or why it is not known. */
export interface Age {
  /** In milliseconds; without messages 0; undefined if nothing is known. */
  readonly ms?: number;
  /** Whether this is the age; else it is at least that. */
  readonly isExact: boolean;
  /** Why it is not known, if it is not. */
  readonly reason?: string;
}

/**
 * Finds out how old the oldest message is.
 *
 * @param ready the number of messages, as AMQP counts them
 * @param isOwn whether the broker is mqcat's own
 */
export function ageOf(
  info: QueueInfo | undefined,
  ready: number,
  isOwn: boolean,
  now: number = Date.now(),
): Age {
  if (info?.type === "stream") return { isExact: false, reason: "it is a stream, which keeps its messages" };
  if (ready === 0) return { ms: 0, isExact: true };
  if (info === undefined) return { isExact: false, reason: "the HTTP API does not answer" };
  const since = (time: number) => Math.max(0, now - time);
  const { oldest_message_received_timestamp: received, oldest_message_received_before: before } = info;
  if (typeof received === "number") return { ms: since(received), isExact: true };
  if (before !== undefined) {
    return {
      ms: since(before),
      isExact: false,
      reason: "it arrived before the last start of the broker, which does not keep the time",
    };
  }
  const { head_message_timestamp: published } = info;
  if (typeof published === "number") return { ms: since(published * 1000), isExact: true };
  if (isOwn) return { isExact: false, reason: "this version of the broker does not report it" };
  return {
    isExact: false,
    reason: info.type === "quorum"
      ? "RabbitMQ does not report it for quorum queues"
      : "the first message has no property 'timestamp'",
  };
}
