import type { Batch } from "../../zmtp/batch.ts";
import { utf8 } from "../../zmtp/bytes.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import { Duplex } from "../duplex.ts";
import type { SocketOptions } from "../options.ts";
import { Subscriptions } from "../outgoing/subscriptions.ts";
import { subscriptionMessage } from "./xpub.ts";

/** What an XSUB socket can be told besides. */
export interface XSubOptions extends SocketOptions {
  /** Whether every end of a subscription is sent, and not only the last of a topic (ZMQ_XSUB_VERBOSE_UNSUBSCRIBE). */
  readonly verbose?: boolean | undefined;
}

/**
 * XSUB (RFC 29): a SUB that subscribes by sending messages, 01 or 00 and the topic, and does not filter what comes. Any
 * other message goes to every publisher, once there is one; where one's queue is full it is dropped.
 */
export class XSub extends Duplex {
  readonly #subscriptions = new Subscriptions();
  readonly #verbose: boolean;
  #dropped = 0;

  constructor(options: XSubOptions = {}) {
    super("XSUB", options);
    this.#verbose = options.verbose ?? false;
  }

  /** How many messages were dropped, each counted for every publisher that missed it. */
  get dropped(): number {
    return this.#dropped;
  }

  /** The same as sending 01 and the topic. */
  subscribe(topic: string | Uint8Array): void {
    this.sendBatch(subscriptionMessage(typeof topic === "string" ? utf8(topic) : topic, true));
  }

  /** The same as sending 00 and the topic. */
  unsubscribe(topic: string | Uint8Array): void {
    this.sendBatch(subscriptionMessage(typeof topic === "string" ? utf8(topic) : topic, false));
  }

  /** Subscriptions are always taken, and remembered for peers that are to come; anything else waits for the first. */
  sendBatch(batch: Batch, from = 0): number {
    const { starts, ends, flags, bytes, frames } = batch;
    while (from < frames) {
      const end = batch.messageEnd(from);
      const head = starts[from]! < ends[from]! ? bytes[starts[from]!]! : 255;
      if (head > 1 || flags[from] !== 0) {
        if (this.connections.size === 0) break;
        this.#forward(batch, from, end);
      } else this.#subscribe(bytes.slice(starts[from]! + 1, ends[from]), head === 1);
      from = end;
    }
    for (const connection of this.connections) connection.outbox.flush();
    return from;
  }

  protected override onAttach(connection: ZmtpConnection): void {
    connection.sendSubscriptions(this.#subscriptions.topics, true);
  }

  #subscribe(topic: Uint8Array, subscribe: boolean): void {
    // Not only new topics: a verbose XPUB at the other end may want to know of each, as libzmq's does.
    if (subscribe) this.#subscriptions.add(topic);
    else if (!this.#subscriptions.remove(topic) && !this.#verbose) return;
    for (const connection of this.connections) connection.sendSubscriptions([topic], subscribe);
  }

  #forward(batch: Batch, from: number, to: number): void {
    for (const { outbox } of this.connections) {
      if (outbox.room > 0) outbox.appendBatch(batch, from, to);
      else this.#dropped++;
    }
  }
}
