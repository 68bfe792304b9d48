import { Batch } from "../../zmtp/batch.ts";
import { concat, utf8 } from "../../zmtp/bytes.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import { Duplex } from "../duplex.ts";
import { FanOut, type FanOutOptions } from "../outgoing/fan_out.ts";
import type { SocketOptions } from "../options.ts";
import { PUBLISHER_HWM_BYTES } from "./pub.ts";

/** What an XPUB socket can be told besides. */
export interface XPubOptions extends SocketOptions, FanOutOptions {
  /**
   * Which subscriptions are received: by default the first of all for a topic and the end of the last; `subscribe` is
   * every one that is made (ZMQ_XPUB_VERBOSE), `all` also every one that ends (ZMQ_XPUB_VERBOSER).
   */
  readonly verbose?: "subscribe" | "all" | undefined;
  /**
   * Whether a subscription does nothing but be received: what the peer gets is then up to `subscribe` and `unsubscribe`
   * (ZMQ_XPUB_MANUAL). With `last-value` the first message that is sent behind a subscription goes to the peer that made
   * it only, if it matches (ZMQ_XPUB_MANUAL_LAST_VALUE).
   */
  readonly manual?: boolean | "last-value" | undefined;
  /** A message that each new peer is sent before anything else (ZMQ_XPUB_WELCOME_MSG). */
  readonly welcome?: Uint8Array | string | undefined;
}

/**
 * XPUB (RFC 29): a PUB that receives its peers' subscriptions as messages, 01 or 00 and the topic, and whatever else they
 * send. They must be received: as long as the inbox is full of them the peers are not read from.
 */
export class XPub extends Duplex {
  readonly #fanOut: FanOut;
  readonly #verbose: "subscribe" | "all" | undefined;
  readonly #manual: boolean | "last-value";
  readonly #welcome: Batch | undefined;
  /** With `last-value`: who gets the next message alone. */
  #addressee: ZmtpConnection | undefined;

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

  /** How many peers have a subscription. */
  get subscribers(): number {
    return this.#fanOut.subscribers;
  }

  /** How many messages were dropped, each counted for every subscriber that missed it. */
  get dropped(): number {
    return this.#fanOut.dropped;
  }

  /** Lets a peer have what begins with `topic`: the one whose message was received last, unless told. See `manual`. */
  subscribe(topic: Uint8Array | string, peer: ZmtpConnection | undefined = this.lastPeer): void {
    if (peer !== undefined) this.#fanOut.subscribe(peer, bytesOf(topic), true);
  }

  /** The end of that. */
  unsubscribe(topic: Uint8Array | string, peer: ZmtpConnection | undefined = this.lastPeer): void {
    if (peer !== undefined) this.#fanOut.subscribe(peer, bytesOf(topic), false);
  }

  /**
   * Sends whole messages to one peer. When its queue is full a drop is counted, and `gather` is not called: a peer that
   * subscribes over and over and does not read costs nothing.
   */
  sendTo(peer: ZmtpConnection, gather: () => Batch): void {
    if (!this.#fanOut.offerTo(peer)) return;
    const batch = gather();
    if (batch.frames > 0) this.#fanOut.sendTo(peer, batch, 0, batch.frames);
  }

  sendBatch(batch: Batch, from = 0): number {
    const addressee = this.#addressee;
    if (addressee !== undefined && from < batch.frames) {
      this.#addressee = undefined;
      const end = batch.messageEnd(from);
      if (this.#fanOut.wants(addressee, batch, from)) this.#fanOut.sendTo(addressee, batch, from, end);
      from = end;
    }
    return this.#fanOut.send(batch, from);
  }

  override async receive(): Promise<Uint8Array[] | undefined> {
    const frames = await super.receive();
    if (this.#manual === "last-value") this.#addressee = this.lastPeer;
    return frames;
  }

  override writable(ms = Infinity): Promise<void> {
    return super.writable(Math.min(ms, this.#fanOut.patience));
  }

  override onSubscription(from: ZmtpConnection, topic: Uint8Array, subscribe: boolean): void {
    this.options.onEvent({ type: "subscription", endpoint: from.remote, topic: topic.slice(), subscribe });
    const change = this.#manual ? "topic" : this.#fanOut.subscribe(from, topic, subscribe);
    const verbose = this.#verbose === "all" || this.#verbose === "subscribe" && subscribe;
    if (change === "topic" || verbose) this.deliver(from, subscriptionMessage(topic, subscribe));
    this.changed.fire();
  }

  /** Subscriptions that come as messages, as from peers up to ZMTP 3.0 (RFC 23), are the same; the rest is received. */
  override onBatch(from: ZmtpConnection, batch: Batch): void {
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

  protected override onAttach(connection: ZmtpConnection): void {
    this.#fanOut.add(connection);
    if (this.#welcome !== undefined) this.#fanOut.sendTo(connection, this.#welcome, 0, 1);
  }

  protected override onDetach(connection: ZmtpConnection): void {
    if (this.#addressee === connection) this.#addressee = undefined;
    this.#fanOut.remove(connection, (topic) => this.deliver(connection, subscriptionMessage(topic, false)));
  }
}

/** A subscription, or its end, as a message: 01 or 00, and the topic. */
export function subscriptionMessage(topic: Uint8Array, subscribe: boolean): Batch {
  return Batch.of([concat([Uint8Array.of(subscribe ? 1 : 0), topic])]);
}

function bytesOf(topic: Uint8Array | string): Uint8Array {
  return typeof topic === "string" ? utf8(topic) : topic;
}
