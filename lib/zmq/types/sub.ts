import type { Batch } from "../../zmtp/batch.ts";
import { EMPTY, utf8 } from "../../zmtp/bytes.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import type { SocketOptions } from "../options.ts";
import { Receiver } from "../receiver.ts";
import { Subscriptions } from "../outgoing/subscriptions.ts";
import { TopicFilter } from "../incoming/topic_filter.ts";

/**
 * SUB (RFC 29): receives messages from PUB and XPUB peers. It receives the messages whose first frame begins with a
 * subscribed topic.
 *
 * Inherited: `bind`, `connect`, `unbind`, `disconnect`, `close` from {@link Socket}; `receive`,
 * `consume` and `for await` from {@link Receiver}.
 *
 * @example Subscribe to a topic
 * ```ts
 * import { Pub, Sub } from "@mqcat/mqcat";
 *
 * await using pub = new Pub();
 * await using sub = new Sub();
 * sub.subscribe("weather");
 * sub.connect(await pub.bind("tcp://127.0.0.1:0"));
 * while (pub.subscribers === 0) await pub.change();
 * await pub.send("sports 2:1");
 * await pub.send("weather rain");
 * const [frame] = await sub.receive() ?? [];
 * console.assert(new TextDecoder().decode(frame) === "weather rain");
 * ```
 */
export class Sub extends Receiver {
  readonly #subscriptions = new Subscriptions();
  readonly #filter = new TopicFilter();

  /**
   * Creates the socket.
   *
   * @param options the options of the socket. Default: none
   * @throws {RangeError} an option is out of its range
   */
  constructor(options: SocketOptions = {}) {
    super("SUB", options);
  }

  /**
   * Subscribes to all messages that begin with a topic. Subscriptions are counted: each call needs its own `unsubscribe`.
   *
   * @param topic the beginning of the first frame; `""` subscribes to all messages
   */
  subscribe(topic: string | Uint8Array): void {
    const bytes = toBytes(topic);
    if (this.#subscriptions.add(bytes)) this.#filter.add(bytes);
    // As in libzmq, every SUBSCRIBE is sent, and one CANCEL when the last subscription to the topic is removed.
    for (const connection of this.connections) connection.sendSubscriptions([bytes], true);
  }

  /**
   * Removes one subscription to a topic. It does nothing if there is none.
   *
   * @param topic the topic, as it was passed to `subscribe`
   */
  unsubscribe(topic: string | Uint8Array): void {
    const bytes = toBytes(topic);
    if (!this.#subscriptions.remove(bytes)) return;
    this.#filter.remove(bytes);
    for (const connection of this.connections) connection.sendSubscriptions([bytes], false);
  }

  /** @ignore */
  protected override onAttach(connection: ZmtpConnection): void {
    connection.sendSubscriptions(this.#subscriptions.topics, true);
  }

  /**
   * Filters again: a publisher may be slow to cancel a subscription, or may not filter at all.
   *
   * @ignore
   */
  protected override onBatch(from: ZmtpConnection, batch: Batch): void {
    if (!this.#subscriptions.has(EMPTY)) this.#filter.apply(batch);
    if (batch.messages > 0) super.onBatch(from, batch);
  }
}

function toBytes(topic: string | Uint8Array): Uint8Array {
  return typeof topic === "string" ? utf8(topic) : topic.slice();
}
