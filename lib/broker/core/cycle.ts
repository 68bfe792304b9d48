import { type Clock, SYSTEM_CLOCK } from "./clock.ts";
import type { Journal } from "./journal/journal.ts";

/** A queue, as the cycle sees it. */
export interface WakeableQueue {
  /** Whether the queue is dispatched at the end of the cycle; only the cycle sets it. */
  awake: boolean;
  /** Delivers messages to consumers. */
  dispatch(): void;
}

/** A client's connection, as the cycle sees it. */
export interface Flushable {
  /** Whether `flush` is called at the end of the cycle; the cycle sets it, `flush` clears it. */
  flushScheduled: boolean;
  /** Writes the output that has been encoded. */
  flush(): void;
}

/** The source of published messages that waits for their confirms, as the cycle sees it. */
export interface Confirmable {
  /** Whether `confirm` is called at the end of the cycle; only the cycle sets it. */
  awaitingConfirms: boolean;
  /**
   * Sends the confirms that are due.
   *
   * @param safePosition position of the journal up to which messages are safe
   * @returns whether other confirms are still pending
   */
  confirm(safePosition: number): boolean;
}

/** What the cycle needs of the broker. */
export interface CycleHost {
  readonly journal: Pick<Journal, "flush" | "syncNow" | "memoryFull" | "memoryScarce">;
  /** Position of the journal up to which messages, and the definitions of their queues, are safe. */
  readonly safePosition: number;
  /** The memory for messages became full, or has room again. */
  onRoomChange(): void;
  /** A queue failed because of a bug; the other queues are still dispatched. */
  onFailure(error: Error): void;
}

/**
 * The cycle of work: handling input only collects work, and the end of the cycle does it once for the whole block of
 * input. The queues deliver, then the journal is written, then confirms are sent, and finally every connection writes
 * its output. No confirm is sent before its message is stored, and each step costs once per block of input.
 */
export class Cycle {
  /** Milliseconds since 1970, read once per cycle. */
  now: number;
  readonly clock: Clock;
  /** A fault of a test: output is written this much later, in milliseconds of real time. */
  outputDelay = 0;
  /** Whether the memory for messages is full. It stays so until an eighth is free, or publishers would stop and go. */
  memoryFull = false;

  readonly #host: CycleHost;
  #depth = 0;
  readonly #queues: WakeableQueue[] = [];
  readonly #connections: Flushable[] = [];
  readonly #awaiting: Confirmable[] = [];
  #sync = false;

  constructor(host: CycleHost, clock: Clock = SYSTEM_CLOCK) {
    this.#host = host;
    this.clock = clock;
    this.now = clock.now();
  }

  /** Begins a cycle. Cycles nest: only the end of the outermost one does the work. */
  begin(): void {
    this.now = this.clock.now();
    this.#depth++;
  }

  /** Ends a cycle and does its work, unless it is part of another cycle. */
  end(): void {
    if (--this.#depth > 0) return;
    this.#depth = 1; // Cycles that begin during the work are part of this one.
    try {
      this.#work();
    } finally {
      this.#depth = 0;
    }
    this.confirm();
    this.#write();
  }

  /** Dispatches a queue at the end of the cycle. */
  wake(queue: WakeableQueue): void {
    if (queue.awake) return;
    queue.awake = true;
    this.#queues.push(queue);
  }

  /** Flushes a connection at the end of the cycle. */
  scheduleFlush(connection: Flushable): void {
    if (connection.flushScheduled) return;
    connection.flushScheduled = true;
    this.#connections.push(connection);
  }

  /** Calls `confirm` at the end of this cycle, and of later ones as long as confirms are pending. */
  awaitConfirms(source: Confirmable): void {
    if (source.awaitingConfirms) return;
    source.awaitingConfirms = true;
    this.#awaiting.push(source);
  }

  /** Syncs the journal to disk before this cycle sends any replies, unless the journal is in memory. */
  syncThisCycle(): void {
    this.#sync = true;
  }

  /** Sends the confirms that have become due. */
  confirm(): void {
    const { safePosition } = this.#host;
    let waiting = 0;
    for (const source of this.#awaiting) {
      if (source.confirm(safePosition)) this.#awaiting[waiting++] = source;
      else source.awaitingConfirms = false;
    }
    this.#awaiting.length = waiting;
    if (this.#depth === 0) this.#write();
  }

  /** Dispatches the queues, then writes the journal. */
  #work(): void {
    // Deliveries may wake other queues: a message may be dead-lettered.
    for (let i = 0; i < this.#queues.length; i++) {
      const queue = this.#queues[i]!;
      queue.awake = false;
      try {
        queue.dispatch();
      } catch (error) {
        this.#host.onFailure(error as Error);
      }
    }
    this.#queues.length = 0;
    const { journal } = this.#host;
    journal.flush();
    if (this.#sync) this.#syncNow();
    if (this.memoryFull ? !journal.memoryScarce : journal.memoryFull) {
      this.memoryFull = !this.memoryFull;
      this.#host.onRoomChange();
    }
  }

  #syncNow(): void {
    this.#sync = false;
    try {
      this.#host.journal.syncNow();
    } catch {
      // The disk is full: the journal reports that itself and tries again.
    }
  }

  #write(): void {
    for (const connection of this.#connections) connection.flush();
    this.#connections.length = 0;
  }
}
