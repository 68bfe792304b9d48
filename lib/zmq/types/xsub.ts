import type { Batch } from "../../zmtp/batch.ts";
import { utf8 } from "../../zmtp/bytes.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import { Duplex } from "../duplex.ts";
import type { SocketOptions } from "../options.ts";
import { Subscriptions } from "../outgoing/subscriptions.ts";
import { subscriptionMessage } from "./xpub.ts";

/** Options of {@link XSub}. */
export interface XSubOptions extends SocketOptions {
  /**
   * Whether to send every cancellation, and not only the one of the last subscription to a topic
   * (ZMQ_XSUB_VERBOSE_UNSUBSCRIBE). Default: false.
   */
  readonly verbose?: boolean | undefined;
}

/**
 * XSUB (RFC 29): receives messages from PUB and XPUB peers. It subscribes by sending a message, 01 or 00 and the topic, and
 * does not filter received messages. Every other message is sent to all publishers; it waits for the first publisher, and is
 * dropped for a publisher whose queue is full.
 *
 * Inherited: `bind`, `connect`, `unbind`, `disconnect`, `close` from {@link Socket}; `send` and `sendBatch` from
 * {@link Sender}; `receive`, `consume` and `for await` from {@link Duplex}.
 *
 * @example Subscribe by a message
 * ```ts
 * import { Pub, XSub } from "@mqcat/mqcat";
 *
 * await using pub = new Pub();
 * await using xsub = new XSub();
 * await xsub.send("\x01weather");
 * xsub.connect(await pub.bind("tcp://127.0.0.1:0"));
 * while (pub.subscribers === 0) await pub.change();
 * await pub.send("weather rain");
 * const [frame] = await xsub.receive() ?? [];
 * console.assert(new TextDecoder().decode(frame) === "weather rain");
 * ```
 */
export class XSub extends Duplex {
  readonly #subscriptions = new Subscriptions();
  readonly #verbose: boolean;
  #dropped = 0;

  /**
   * Creates the socket.
   *
   * @param options the options of the socket. Default: none
   * @throws {RangeError} an option is out of its range
   */
  constructor(options: XSubOptions = {}) {
    super("XSUB", options);
    this.#verbose = options.verbose ?? false;
  }

  /** The number of dropped messages, counted once for each publisher. */
  get dropped(): number {
    return this.#dropped;
  }

  /**
   * Subscribes to a topic; the same as sending 01 and the topic.
   *
   * @param topic the beginning of the first frame; `""` subscribes to all messages
   */
  subscribe(topic: string | Uint8Array): void {
    this.sendBatch(subscriptionMessage(typeof topic === "string" ? utf8(topic) : topic, true));
  }

  /**
   * Removes one subscription to a topic; the same as sending 00 and the topic.
   *
   * @param topic the topic, as it was passed to `subscribe`
   */
  unsubscribe(topic: string | Uint8Array): void {
    this.sendBatch(subscriptionMessage(typeof topic === "string" ? utf8(topic) : topic, false));
  }

  /**
   * Sends messages to all publishers; see {@link Sender.sendBatch}. Subscriptions are always accepted, and are sent to
   * later peers, too. Other messages wait for the first peer.
   *
   * @param batch the messages
   * @param from the first frame to send. Default: 0
   * @returns the first frame that was not queued, or `batch.frames`
   */
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

  /** @ignore */
  protected override onAttach(connection: ZmtpConnection): void {
    connection.sendSubscriptions(this.#subscriptions.topics, true);
  }

  #subscribe(topic: Uint8Array, subscribe: boolean): void {
    // Not only new topics: a verbose XPUB peer receives every subscription, as in libzmq.
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
