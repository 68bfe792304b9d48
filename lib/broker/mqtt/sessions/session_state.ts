import { HEADER } from "../../../crossing/mqtt/headers.ts";
import { parseShared } from "../../../mqtt/topic.ts";
import type { BrokerCore } from "../../core/broker_core.ts";
import { encodeMessage, propertiesOf } from "../../core/message.ts";
import { GONE } from "../../core/queue/lane.ts";
import type { Queue } from "../../core/queue/queue.ts";
import type { Subscription } from "./subscriptions.ts";

/** What a session keeps besides its queues and bindings. */
export interface SessionMeta {
  /** Seconds after the end of the connection; null for no end. */
  readonly expiry: number | null;
  readonly shared: readonly Subscription[];
}

const META = "meta";
const RELEASE = "release";
const PERSISTENT = 2;

/** Removes a message by its sequence number, if it is still in a queue. */
export function discard(queue: Queue, seq: number): void {
  if (!queue.deleted && queue.lanes[0]!.stateAt(seq) !== GONE) queue.settle(0, seq);
}

/**
 * The state of a session that survives a restart, as messages of a queue: its options, the packet identifiers of QoS 2
 * that it has received and not released, and those that the client has received and not completed. A change and the
 * message that it belongs to are one record of the journal.
 */
export class SessionState {
  readonly queue: Queue;
  readonly #core: BrokerCore;
  #meta = -1;
  #text = "";

  constructor(core: BrokerCore, queue: Queue) {
    this.#core = core;
    this.queue = queue;
  }

  /** The sequence number of the next message, which may be one that a client publishes. */
  get nextSeq(): number {
    return this.queue.lanes[0]!.nextSeq;
  }

  /** Stores the options, if they have changed. */
  save(meta: SessionMeta): void {
    const text = JSON.stringify(meta);
    if (text === this.#text) return;
    this.#text = text;
    const before = this.#meta;
    this.#meta = this.#put(META, new TextEncoder().encode(text), before < 0 ? undefined : this.queue, before);
    if (before >= 0) discard(this.queue, before);
  }

  /** Records that the client has received a message of QoS 2, in place of that message. */
  release(packetId: number, queue: Queue, seq: number): number {
    const marker = this.#put(RELEASE, Uint8Array.of(packetId >>> 8, packetId), queue, seq);
    discard(queue, seq);
    return marker;
  }

  remove(seq: number): void {
    if (seq >= 0) discard(this.queue, seq);
  }

  /** Reads the state after a restart; undefined if it has no options, because the session was being created. */
  restore(inbound: Map<number, number>, released: Map<number, number>): SessionMeta | undefined {
    const { queue } = this;
    let meta: SessionMeta | undefined;
    for (let seq = 0; (seq = queue.lanes[0]!.nextLive(seq)) >= 0; seq++) {
      const message = queue.messageAt(0, seq);
      if (message === undefined) {
        queue.settle(0, seq);
        continue;
      }
      const { messageId, headers } = propertiesOf(message);
      const body = message.body.subarray(message.bodyStart, message.bodyEnd);
      const packetId = headers?.[HEADER.packetId];
      if (messageId === RELEASE && body.length === 2) released.set(body[0]! << 8 | body[1]!, seq);
      else if (typeof packetId === "number") inbound.set(packetId, seq);
      else if (messageId === META) {
        const text = new TextDecoder().decode(body);
        const read = metaOf(text);
        if (read === undefined) continue;
        if (this.#meta >= 0) discard(queue, this.#meta);
        this.#meta = seq;
        this.#text = text;
        meta = read;
      }
    }
    return meta;
  }

  #put(kind: string, body: Uint8Array, queue: Queue | undefined, seq: number): number {
    // An administrator has deleted the queue: the session continues without a state that survives.
    if (this.queue.deleted) return -1;
    const address = { exchange: "", routingKey: this.queue.name };
    const message = encodeMessage(address, { messageId: kind, deliveryMode: PERSISTENT }, body);
    return this.#core.intake.put(this.queue, message, queue === undefined ? undefined : { queue, seq });
  }
}

/** Reads stored options; undefined for a message that a client has put into the queue. */
function metaOf(text: string): SessionMeta | undefined {
  try {
    const { expiry, shared } = JSON.parse(text) as SessionMeta;
    const isValid = (expiry === null || expiry >= 0) && shared.every(({ filter }) => parseShared(filter));
    return isValid ? { expiry, shared } : undefined;
  } catch {
    return undefined;
  }
}
