import type { Batch } from "../../zmtp/batch.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import { FanOut, type FanOutOptions } from "../outgoing/fan_out.ts";
import type { SocketOptions } from "../options.ts";
import { Sender } from "../sender.ts";

/** Options of {@link Pub}. */
export interface PubOptions extends SocketOptions, FanOutOptions {}

/** The default of `hwmBytes` for sockets that publish, in bytes. */
export const PUBLISHER_HWM_BYTES: number = 64 * 2 ** 20;

/**
 * PUB (RFC 29): sends each message to every peer that subscribed to a prefix of its first frame.
 *
 * Inherited: `bind`, `connect`, `unbind`, `disconnect`, `close` from {@link Socket}; `send` and
 * `sendBatch` from {@link Sender}.
 *
 * @example Publish to a subscriber
 * ```ts
 * import { Pub, Sub } from "@mqcat/mqcat";
 *
 * await using pub = new Pub();
 * await using sub = new Sub();
 * sub.subscribe("weather");
 * sub.connect(await pub.bind("tcp://127.0.0.1:0"));
 * while (pub.subscribers === 0) await pub.change();
 * await pub.send("weather rain");
 * const [frame] = await sub.receive() ?? [];
 * console.assert(new TextDecoder().decode(frame) === "weather rain");
 * ```
 */
export class Pub extends Sender {
  readonly #fanOut: FanOut;

  /**
   * Creates the socket.
   *
   * @param options the options of the socket. Default: none
   * @throws {RangeError} an option is out of its range
   */
  constructor(options: PubOptions = {}) {
    super("PUB", { ...options, hwmBytes: options.hwmBytes ?? PUBLISHER_HWM_BYTES });
    this.#fanOut = new FanOut(options, this.options.onEvent);
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
   * Sends the messages to the subscribers of their topics; see {@link Sender.sendBatch}.
   *
   * @param batch the messages
   * @param from the first frame to send. Default: 0
   * @returns the first frame that was not queued, or `batch.frames`
   */
  sendBatch(batch: Batch, from = 0): number {
    return this.#fanOut.send(batch, from);
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
    this.#fanOut.subscribe(from, topic, subscribe);
    this.options.onEvent({ type: "subscription", endpoint: from.remote, topic: topic.slice(), subscribe });
    this.changed.fire();
  }

  /**
   * Handles subscriptions that are sent as messages, 01 or 00 and the topic. Peers up to ZMTP 3.0 send them (RFC 23); they
   * are accepted from all peers.
   *
   * @ignore
   */
  protected override onBatch(from: ZmtpConnection, batch: Batch): void {
    for (let at = 0; at < batch.frames; at = batch.messageEnd(at)) {
      const body = batch.frame(at);
      if (body[0] === 0 || body[0] === 1) this.onSubscription(from, body.subarray(1), body[0] === 1);
    }
  }

  /** @ignore */
  protected override onAttach(connection: ZmtpConnection): void {
    this.#fanOut.add(connection);
  }

  /** @ignore */
  protected override onDetach(connection: ZmtpConnection): void {
    this.#fanOut.remove(connection);
  }
}
