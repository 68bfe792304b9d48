import { DeliveryStats } from "../message_stats.ts";

/** Counts the messages of a queue since it exists in this process. */
export class QueueStats extends DeliveryStats {
  /** Messages that arrived, dead-lettered ones included. */
  published = 0;
  /** Messages dropped for each reason, with or without dead-lettering: the queue was full, … */
  overflowed = 0;
  expired = 0;
  rejected = 0;
  overDelivered = 0;
  /** When the queue last had work, in milliseconds since 1970. */
  activeAt = 0;

  /** Adds the counts of another queue. */
  add(other: QueueStats): void {
    const { activeAt } = this;
    for (const [name, count] of Object.entries(other)) this[name as keyof Omit<QueueStats, "add">] += count;
    this.activeAt = activeAt;
  }
}
