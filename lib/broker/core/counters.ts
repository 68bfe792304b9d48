import { VirtualHostStats } from "./message_stats.ts";
import { QueueStats } from "./queue/queue_stats.ts";

/** Counters of events since the broker was opened, besides those of existing objects. */
export class Counters {
  connectionsOpened = 0;
  connectionsClosed = 0;
  /** The counts of virtual hosts that were removed. */
  readonly removedVhosts: VirtualHostStats = new VirtualHostStats();
  /** The counts of queues that were deleted, by queue type. */
  readonly deletedQueues: Map<string, QueueStats> = new Map();
  /** Logins by protocol. */
  readonly logins: Map<string, LoginCounter> = new Map();

  /** @param protocol its name in RabbitMQ: `amqp091`, `http` */
  countLogin(protocol: string, succeeded: boolean): void {
    let logins = this.logins.get(protocol);
    if (logins === undefined) this.logins.set(protocol, logins = { failed: 0, succeeded: 0 });
    if (succeeded) logins.succeeded++;
    else logins.failed++;
  }

  /** Keeps the counts of a queue that is deleted. */
  countDeleted(type: string, stats: QueueStats): void {
    let deleted = this.deletedQueues.get(type);
    if (deleted === undefined) this.deletedQueues.set(type, deleted = new QueueStats());
    deleted.add(stats);
  }
}

/** Counts the checks of names and passwords. */
export interface LoginCounter {
  failed: number;
  succeeded: number;
}
