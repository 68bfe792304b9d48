import type { Batch } from "../../zmtp/batch.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import { FanOut, type FanOutOptions } from "../outgoing/fan_out.ts";
import type { SocketOptions } from "../options.ts";
import { Sender } from "../sender.ts";

/** What a PUB socket can be told besides. */
export interface PubOptions extends SocketOptions, FanOutOptions {}

/** The high-water mark of a publisher's peers, in bytes. */
export const PUBLISHER_HWM_BYTES: number = 64 * 2 ** 20;

/** PUB (RFC 29): sends each message to every peer that subscribed to a prefix of its first frame. */
export class Pub extends Sender {
  readonly #fanOut: FanOut;

  constructor(options: PubOptions = {}) {
    super("PUB", { ...options, hwmBytes: options.hwmBytes ?? PUBLISHER_HWM_BYTES });
    this.#fanOut = new FanOut(options, this.options.onEvent);
  }

  /** How many peers have a subscription. */
  get subscribers(): number {
    return this.#fanOut.subscribers;
  }

  /** How many messages were dropped, each counted for every subscriber that missed it. */
  get dropped(): number {
    return this.#fanOut.dropped;
  }

  sendBatch(batch: Batch, from = 0): number {
    return this.#fanOut.send(batch, from);
  }

  override writable(ms = Infinity): Promise<void> {
    return super.writable(Math.min(ms, this.#fanOut.patience));
  }

  override onSubscription(from: ZmtpConnection, topic: Uint8Array, subscribe: boolean): void {
    this.#fanOut.subscribe(from, topic, subscribe);
    this.options.onEvent({ type: "subscription", endpoint: from.remote, topic: topic.slice(), subscribe });
    this.changed.fire();
  }

  /** Peers up to ZMTP 3.0 subscribe with a message: 01 or 00, and the topic (RFC 23). Accepted from anyone. */
  override onBatch(from: ZmtpConnection, batch: Batch): void {
    for (let at = 0; at < batch.frames; at = batch.messageEnd(at)) {
      const body = batch.frame(at);
      if (body[0] === 0 || body[0] === 1) this.onSubscription(from, body.subarray(1), body[0] === 1);
    }
  }

  protected override onAttach(connection: ZmtpConnection): void {
    this.#fanOut.add(connection);
  }

  protected override onDetach(connection: ZmtpConnection): void {
    this.#fanOut.remove(connection);
  }
}
