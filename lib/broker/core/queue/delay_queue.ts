import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import { MAX_TIMER } from "../../../transport/waiting.ts";
import type { QueueDefinition } from "../topology/definition_change.ts";
import { DueHeap } from "./due_heap.ts";
import { Queue, type QueueHost } from "./queue.ts";

/** How many messages go on in one turn; clients have theirs in between. */
const BATCH = 1000;
/** When it is tried again while the broker takes no messages, in milliseconds. */
const RETRY_MS = 1000;

/** What a delay queue needs of the broker around it. */
export interface DelayHost extends QueueHost {
  /** Why no messages are taken; undefined while they are. */
  readonly blocked: string | undefined;
  /** Routes a message that has waited. `message` is valid during the call. */
  forward(queue: Queue, message: EncodedMessage): void;
}

/**
 * Where the messages of one `x-delayed-message` exchange wait, each until its own time: it has the name of the exchange,
 * and clients do not see it.
 */
export class DelayQueue extends Queue {
  readonly #host: DelayHost;
  readonly #due = new DueHeap();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer fires. */
  #at = Infinity;

  constructor(definition: QueueDefinition, host: DelayHost) {
    super(definition, host);
    this.#host = host;
  }

  /** When a message that comes now is due. */
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

  /** Nobody consumes from it. */
  override dispatch(): void {}

  override stop(): void {
    clearTimeout(this.#timer);
    super.stop();
  }

  #schedule(time: number): void {
    if (time >= this.#at || this.deleted) return;
    clearTimeout(this.#timer);
    this.#at = time;
    this.#timer = setTimeout(() => this.#onDue(), Math.min(Math.max(0, time - Date.now()), MAX_TIMER));
  }

  #onDue(): void {
    const host = this.#host;
    this.#at = Infinity;
    host.cycle.begin();
    try {
      if (host.blocked !== undefined) return this.#schedule(Date.now() + RETRY_MS);
      for (let i = 0; i < BATCH && this.#due.time <= host.cycle.now; i++) {
        const seq = this.#due.pop();
        const message = this.messageAt(0, seq);
        if (message !== undefined) host.forward(this, message);
        this.settle(0, seq);
      }
      this.#schedule(this.#due.time);
    } finally {
      host.cycle.end();
    }
  }
}
