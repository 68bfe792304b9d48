import { Batch } from "../../zmtp/batch.ts";
import { concat, utf8 } from "../../zmtp/bytes.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import { Duplex } from "../duplex.ts";
import { FanOut, type FanOutOptions } from "../outgoing/fan_out.ts";
import type { SocketOptions } from "../options.ts";
import type { Peer } from "../peer.ts";
import type { WaitOptions } from "../wait_options.ts";
import { PUBLISHER_HWM_BYTES } from "./pub.ts";

/** Options of {@link XPub}. */
export interface XPubOptions extends SocketOptions, FanOutOptions {
  /**
   * Which subscriptions are received as messages. Default: the first subscription to a topic, and the cancellation of the
   * last one. `subscribe`: every subscription (ZMQ_XPUB_VERBOSE). `all`: every cancellation, too (ZMQ_XPUB_VERBOSER).
   */
  readonly verbose?: "subscribe" | "all" | undefined;
  /**
   * Whether subscriptions of the peers are only received as messages and have no other effect: the program calls
   * `subscribe` and `unsubscribe` instead (ZMQ_XPUB_MANUAL). With `last-value`, the first message that is sent after a
   * received subscription goes only to the peer that subscribed, if it matches (ZMQ_XPUB_MANUAL_LAST_VALUE). Default: false.
   */
  readonly manual?: boolean | "last-value" | undefined;
  /** A message that is sent to each new peer before all others (ZMQ_XPUB_WELCOME_MSG). Default: none. */
  readonly welcome?: Uint8Array | string | undefined;
}

/**
 * XPUB (RFC 29): publishes as PUB does, and receives the subscriptions of its peers as messages: 01 or 00, then the topic.
 * It also receives all other messages of its peers. The program must receive them: when the queue of received messages is
 * full, the socket reads no further subscriptions.
 *
 * Inherited: `bind`, `connect`, `unbind`, `disconnect`, `close` from {@link Socket}; `send` and `sendBatch` from
 * {@link Sender}; `receive`, `consume` and `for await` from {@link Duplex}.
 *
 * @example Receive a subscription
 * ```ts
 * import { Sub, XPub } from "@mqcat/mqcat";
 *
 * await using xpub = new XPub();
 * await using sub = new Sub();
 * sub.subscribe("weather");
 * sub.connect(await xpub.bind("tcp://127.0.0.1:0"));
 * const [subscription] = await xpub.receive() ?? [];
 * console.assert(subscription?.[0] === 1);
 * console.assert(new TextDecoder().decode(subscription?.subarray(1)) === "weather");
 * ```
 */
export class XPub extends Duplex {
  readonly #fanOut: FanOut;
  readonly #verbose: "subscribe" | "all" | undefined;
  readonly #manual: boolean | "last-value";
  readonly #welcome: Batch | undefined;
  /** With `last-value`: the only recipient of the next message. */
  #addressee: ZmtpConnection | undefined;

  /**
   * Creates the socket.
   *
   * @param options the options of the socket. Default: none
   * @throws {RangeError} an option is out of its range
   */
  constructor(options: XPubOptions = {}) {
    super("XPUB", { ...options, hwmBytes: options.hwmBytes ?? PUBLISHER_HWM_BYTES });
    this.#fanOut = new FanOut(options, this.options.onEvent);
    this.#verbose = options.verbose;
    this.#manual = options.manual ?? false;
    const { welcome } = options;
    if (welcome !== undefined) {
      this.#welcome = Batch.of([typeof welcome === "string" ? utf8(welcome) : welcome]);
    }
  }

  /** The number of peers that have a subscription. */
  get subscribers(): number {
    return this.#fanOut.subscribers;
  }

  /** The number of dropped messages, counted once for each subscriber. */
  get dropped(): number {
    return this.#fanOut.dropped;
  }

  /**
   * Subscribes a peer to a topic; see `manual`.
   *
   * @param topic the beginning of the first frame of the messages
   * @param peer the peer. Default: the sender of the last message that `receive` returned
   */
  subscribe(topic: Uint8Array | string, peer: Peer | undefined = this.lastPeer): void {
    if (peer !== undefined) this.#fanOut.subscribe(peer, bytesOf(topic), true);
  }

  /**
   * Removes the subscription of a peer to a topic; see `manual`.
   *
   * @param topic the topic, as it was passed to `subscribe`
   * @param peer the peer. Default: the sender of the last message that `receive` returned
   */
  unsubscribe(topic: Uint8Array | string, peer: Peer | undefined = this.lastPeer): void {
    if (peer !== undefined) this.#fanOut.subscribe(peer, bytesOf(topic), false);
  }

  /**
   * Sends messages to one peer. When its queue is full, a dropped message is counted and `gather` is not called, so a peer
   * that subscribes repeatedly and does not read costs no work.
   *
   * @param peer the peer, as a consumer received it
   * @param gather returns the messages
   */
  sendTo(peer: Peer, gather: () => Batch): void {
    if (!this.#fanOut.offerTo(peer)) return;
    const batch = gather();
    if (batch.frames > 0) this.#fanOut.sendTo(peer, batch, 0, batch.frames);
  }

  /**
   * Sends the messages to the subscribers of their topics; see {@link Sender.sendBatch}.
   *
   * @param batch the messages
   * @param from the first frame to send. Default: 0
   * @returns the first frame that was not queued, or `batch.frames`
   */
  sendBatch(batch: Batch, from = 0): number {
    const addressee = this.#addressee;
    if (addressee !== undefined && from < batch.frames) {
      this.#addressee = undefined;
      const end = batch.messageEnd(from);
      if (this.#fanOut.matches(addressee, batch, from)) this.#fanOut.sendTo(addressee, batch, from, end);
      from = end;
    }
    return this.#fanOut.send(batch, from);
  }

  /**
   * Receives one message, which can be a subscription; it waits for it if none has arrived.
   *
   * @param options `signal` cancels the wait; no message is lost
   * @returns the frames of the message, or undefined when the socket is closed or has failed and no message is left
   * @throws the reason of `signal`
   */
  override async receive(options?: WaitOptions): Promise<Uint8Array[] | undefined> {
    const frames = await super.receive(options);
    if (this.#manual === "last-value") this.#addressee = this.lastPeer;
    return frames;
  }

  /**
   * Waits until a queue may have room again; see {@link Sender.writable}.
   *
   * @param ms the longest wait, in milliseconds. Default: no limit
   * @returns a promise that resolves when there may be room, or after `ms` milliseconds
   */
  override writable(ms = Infinity): Promise<void> {
    return super.writable(Math.min(ms, this.#fanOut.longestWait));
  }

  /** @ignore */
  protected override onSubscription(from: ZmtpConnection, topic: Uint8Array, subscribe: boolean): void {
    this.options.onEvent({ type: "subscription", endpoint: from.remote, topic: topic.slice(), subscribe });
    const change = this.#manual ? "topic" : this.#fanOut.subscribe(from, topic, subscribe);
    const verbose = this.#verbose === "all" || this.#verbose === "subscribe" && subscribe;
    if (change === "topic" || verbose) this.deliver(from, subscriptionMessage(topic, subscribe));
    this.changed.fire();
  }

  /**
   * Handles subscriptions that are sent as messages, as peers up to ZMTP 3.0 do (RFC 23), and delivers all other messages.
   *
   * @ignore
   */
  protected override onBatch(from: ZmtpConnection, batch: Batch): void {
    const { frames, flags, starts, ends, bytes } = batch;
    let plain = 0;
    for (let at = 0; at < frames;) {
      const end = batch.messageEnd(at);
      const head = starts[at]! < ends[at]! ? bytes[starts[at]!]! : 255;
      if (head > 1 || flags[at] !== 0) {
        at = end;
        continue;
      }
      if (plain < at) this.deliver(from, batch.slice(plain, at));
      this.onSubscription(from, batch.frame(at).subarray(1), head === 1);
      plain = at = end;
    }
    if (plain === 0) this.deliver(from, batch);
    else if (plain < frames) this.deliver(from, batch.slice(plain, frames));
  }

  /** @ignore */
  protected override onAttach(connection: ZmtpConnection): void {
    this.#fanOut.add(connection);
    if (this.#welcome !== undefined) this.#fanOut.sendTo(connection, this.#welcome, 0, 1);
  }

  /** @ignore */
  protected override onDetach(connection: ZmtpConnection): void {
    if (this.#addressee === connection) this.#addressee = undefined;
    this.#fanOut.remove(connection, (topic) => this.deliver(connection, subscriptionMessage(topic, false)));
  }
}

/** A subscription or a cancellation as a message: 01 or 00, and the topic. */
export function subscriptionMessage(topic: Uint8Array, subscribe: boolean): Batch {
  return Batch.of([concat([Uint8Array.of(subscribe ? 1 : 0), topic])]);
}

function bytesOf(topic: Uint8Array | string): Uint8Array {
  return typeof topic === "string" ? utf8(topic) : topic;
}
