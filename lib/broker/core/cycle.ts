import type { ServerChannel } from "../amqp/channel/channel.ts";
import type { ServerConnection } from "../amqp/connection.ts";
import type { Journal } from "./journal/journal.ts";
import type { Queue } from "./queue/queue.ts";

/** Who is told what came of a turn. */
export interface CycleHost {
  /** Up to which position of the journal messages are safe, and the queues that they are in. */
  readonly safePosition: number;
  /** The memory for messages is full, or no longer. */
  onRoomChange(): void;
  /** A queue failed, which is a mistake of ours: the others must not go with it. */
  onFailure(error: unknown): void;
}

/**
 * Work that is gathered while input is handled and done at the end, once for all of it: a turn. First the queues
 * deliver, then the journal is written, then confirms are given, and at last every connection writes what it has. So
 * a confirm never leaves before the message is where it must be, and each of these costs once per block of input.
 */
export class Cycle {
  readonly #journal: Journal;
  readonly #host: CycleHost;
  #memoryFull = false;
  #depth = 0;
  #queues: Queue[] = [];
  #connections: ServerConnection[] = [];
  #awaiting: ServerChannel[] = [];
  #sync = false;

  constructor(journal: Journal, host: CycleHost) {
    this.#journal = journal;
    this.#host = host;
  }

  begin(): void {
    this.#depth++;
  }

  /** Ends a turn, and does its work unless it lies within another one. */
  end(): void {
    if (--this.#depth > 0) return;
    this.#depth = 1; // What begins during the work belongs to it.
    // Delivering may wake other queues: a message may die on the way.
    for (let i = 0; i < this.#queues.length; i++) {
      const queue = this.#queues[i]!;
      queue.awake = false;
      try {
        queue.dispatch();
      } catch (error) {
        this.#host.onFailure(error);
      }
    }
    this.#queues.length = 0;
    this.#journal.flush();
    if (this.#sync) this.#syncNow();
    if (this.#memoryFull !== this.#journal.memoryFull) {
      this.#memoryFull = !this.#memoryFull;
      this.#host.onRoomChange();
    }
    this.#depth = 0;
    this.confirm();
    this.#write();
  }

  /** Has a queue deliver at the end. */
  wake(queue: Queue): void {
    if (queue.awake) return;
    queue.awake = true;
    this.#queues.push(queue);
  }

  /** Has a connection write at the end. */
  dirty(connection: ServerConnection): void {
    if (connection.dirty) return;
    connection.dirty = true;
    this.#connections.push(connection);
  }

  /** Has a channel told the outcome of its publishes, as soon as it is certain. */
  await(channel: ServerChannel): void {
    channel.publishing.awaiting = true;
    this.#awaiting.push(channel);
  }

  /** What was done in this turn must be on disk before anybody is answered, if the journal syncs at all. */
  sync(): void {
    this.#sync = true;
  }

  /** Gives the confirms that have become certain, and answers the commits. */
  confirm(): void {
    const { safePosition } = this.#host;
    let waiting = 0;
    for (const channel of this.#awaiting) {
      const { publishing, connection } = channel;
      if (publishing.tell(safePosition)) this.#awaiting[waiting++] = channel;
      else publishing.awaiting = false;
      if (connection.encoder.out.length > 0) connection.touch();
    }
    this.#awaiting.length = waiting;
    if (this.#depth === 0) this.#write();
  }

  #syncNow(): void {
    this.#sync = false;
    try {
      this.#journal.syncNow();
    } catch {
      // A full disk: the journal tells so itself, and tries again.
    }
  }

  #write(): void {
    for (const connection of this.#connections) connection.flush();
    this.#connections.length = 0;
  }
}
