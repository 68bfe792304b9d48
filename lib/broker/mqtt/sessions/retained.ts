import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import { TopicTree } from "../../../mqtt/topic_tree.ts";
import type { BrokerCore } from "../../core/broker_core.ts";
import { addressOf } from "../../core/message.ts";
import { GONE } from "../../core/queue/lane.ts";
import type { Queue } from "../../core/queue/queue.ts";
import { exchangeSeparators } from "../names.ts";
import { discard } from "./session_state.ts";

/** A retained message: its place in the queue of retained messages. */
interface Entry {
  readonly topic: string;
  seq: number;
}

/** The retained messages of a virtual host: the last one of each topic, in a queue, so that they survive a restart. */
export class RetainedMessages {
  readonly #core: BrokerCore;
  readonly #limit: number;
  readonly #declare: () => Queue;
  readonly #entries = new TopicTree<Entry>();
  #queue: Queue | undefined;

  /**
   * @param limit the maximum number of messages
   * @param existing the queue of an earlier run
   * @param declare makes the queue
   */
  constructor(core: BrokerCore, limit: number, existing: Queue | undefined, declare: () => Queue) {
    this.#core = core;
    this.#limit = limit;
    this.#declare = declare;
    this.#queue = existing;
    if (existing !== undefined) this.#restore(existing);
  }

  /** The number of messages. */
  get size(): number {
    return this.#entries.size;
  }

  /** Whether there is room for a message of this topic. */
  hasRoomFor(topic: string): boolean {
    return this.#entries.size < this.#limit || this.#entries.get(topic) !== undefined;
  }

  /** Stores a message in place of the earlier one of its topic. @returns the position of the journal that makes it safe */
  set(topic: string, message: EncodedMessage): number {
    const queue = this.#usable();
    const known = this.#entries.get(topic);
    const before = known !== undefined && queue.lanes[0]!.stateAt(known.seq) !== GONE ? known.seq : -1;
    const seq = this.#core.intake.put(queue, message, before < 0 ? undefined : { queue, seq: before });
    if (before >= 0) discard(queue, before);
    if (known === undefined) this.#entries.set(topic, { topic, seq });
    else known.seq = seq;
    return this.#core.intake.position;
  }

  /** Removes the message of a topic [MQTT-3.3.1-6]. */
  delete(topic: string): void {
    const known = this.#entries.delete(topic);
    if (known !== undefined && this.#queue !== undefined) discard(this.#queue, known.seq);
  }

  /**
   * Calls `visit` with each message that a filter matches, and with what is left of its time to live in milliseconds. The
   * message is valid during the call, until the next call of the journal.
   */
  match(filter: string, visit: (message: EncodedMessage, ttl: number) => void): void {
    const queue = this.#queue;
    if (queue === undefined) return;
    const lane = queue.lanes[0]!;
    const found: Entry[] = [];
    this.#entries.matchFilter(filter, (entry) => found.push(entry));
    for (const { topic, seq } of found) {
      const expiry = lane.expiryAt(seq);
      const left = expiry === 0 ? Infinity : expiry - this.#core.cycle.now;
      const message = lane.stateAt(seq) === GONE || left <= 0 ? undefined : queue.messageAt(0, seq);
      // It has expired, was purged, or is damaged.
      if (message === undefined) this.delete(topic);
      else visit(message, left);
    }
  }

  #restore(queue: Queue): void {
    for (let seq = 0; (seq = queue.lanes[0]!.nextLive(seq)) >= 0; seq++) {
      const message = queue.messageAt(0, seq);
      if (message === undefined) {
        queue.settle(0, seq);
        continue;
      }
      const topic = exchangeSeparators(addressOf(message).routingKey);
      const earlier = this.#entries.set(topic, { topic, seq });
      if (earlier !== undefined) discard(queue, earlier.seq);
    }
  }

  /** The queue; a new one if a client has deleted it, together with all messages. */
  #usable(): Queue {
    if (this.#queue === undefined || this.#queue.deleted) {
      this.#entries.forEach(({ topic }) => this.#entries.delete(topic));
      this.#queue = this.#declare();
    }
    return this.#queue;
  }
}
