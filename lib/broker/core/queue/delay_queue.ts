import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import { MAX_TIMER } from "../../../transport/waiting.ts";
import type { Timer } from "../clock.ts";
import type { QueueDefinition } from "../topology/definition_change.ts";
import { DueHeap } from "./due_heap.ts";
import { Queue, type QueueHost } from "./queue.ts";

/** The maximum number of messages to forward in one cycle, so that clients are served in between. */
const BATCH = 1000;
/** The delay before the next attempt while the broker is blocked, in milliseconds. */
const RETRY_MS = 1000;

/** The part of the broker that a delay queue needs. */
export interface DelayHost extends QueueHost {
  /** The reason why the broker accepts no messages; undefined while it does. */
  readonly blocked: string | undefined;
  /**
   * Routes the message `seq` of the only lane, whose delay has ended. `message` is valid during the call.
   *
   * @returns see `deadLetter`
   */
  forward(queue: Queue, message: EncodedMessage, seq: number): boolean;
}

/**
 * Holds the messages of one `x-delayed-message` exchange until their delay ends. It has the name of the exchange and is
 * not visible to clients.
 */
export class DelayQueue extends Queue {
  readonly #host: DelayHost;
  readonly #due = new DueHeap();
  #timer: Timer;
  /** The time at which the timer fires. */
  #at = Infinity;

  constructor(definition: QueueDefinition, host: DelayHost) {
    super(definition, host);
    this.#host = host;
  }

  /** Returns the due time of a message that arrives now. */
  override expiryOf(_ttl: number, delay: number): number {
    return this.#host.cycle.now + delay;
  }

  override arrived(expiry: number): void {
    this.#due.push(expiry, this.lanes[0]!.nextSeq - 1);
    this.#schedule(this.#due.time);
  }

  override recovered(): void {
    const lane = this.lanes[0]!;
    for (let seq = 0; (seq = lane.nextReady(seq)) >= 0; seq++) this.#due.push(lane.expiryAt(seq), seq);
    this.#schedule(this.#due.time);
  }

  /** Does nothing: the queue has no consumers. */
  override dispatch(): void {}

  override stop(): void {
    this.#host.cycle.clock.clearTimeout(this.#timer);
    super.stop();
  }

  #schedule(time: number): void {
    if (time >= this.#at || this.deleted) return;
    this.#host.cycle.clock.clearTimeout(this.#timer);
    this.#at = time;
    this.#timer = this.#host.cycle.clock.setTimeout(
      () => this.#onDue(),
      Math.min(Math.max(0, time - this.#host.cycle.clock.now()), MAX_TIMER),
    );
  }

  #onDue(): void {
    const host = this.#host;
    this.#at = Infinity;
    host.cycle.begin();
    try {
      if (host.blocked !== undefined) return this.#schedule(host.cycle.now + RETRY_MS);
      for (let i = 0; i < BATCH && this.#due.time <= host.cycle.now; i++) {
        const seq = this.#due.pop();
        const message = this.messageAt(0, seq);
        const replaced = message !== undefined && host.forward(this, message, seq);
        this.settle(0, seq, replaced);
      }
      this.#schedule(this.#due.time);
    } finally {
      host.cycle.end();
    }
  }
}
