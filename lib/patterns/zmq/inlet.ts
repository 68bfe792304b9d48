import { encodeProperties } from "../../amqp/properties.ts";
import { readText } from "../../bytes/text.ts";
import { Signal } from "../../transport/waiting.ts";
import { TopicFilter } from "../../zmq/incoming/topic_filter.ts";
import type { Receiver } from "../../zmq/receiver.ts";
import type { Batch } from "../../zmtp/batch.ts";
import type { Delivery, Inlet, InletEvents } from "../contract.ts";

/** Options of a ZeroMQ inlet. */
export interface ZmqInletOptions {
  /** Only messages whose first frame starts with one of these prefixes are received. Default: all messages */
  readonly topics?: readonly Uint8Array[];
  /** The end of the topic in a message of one frame. Default: such a message has no topic */
  readonly separator?: Uint8Array | undefined;
  /** Called for a message of more than two frames, which has no place in a `Delivery` and is dropped. */
  readonly onUnfit?: (frames: number) => void;
}

/** ZeroMQ's messages are kept on disk by a broker that gets them: they have delivery mode 2. */
const PERSISTENT = encodeProperties({ deliveryMode: 2 });
const NOTHING: Uint8Array = new Uint8Array(0);

/**
 * An inlet over a PULL or SUB socket. Of two frames the first one is the topic (`routingKey`). ZeroMQ has no
 * acknowledgements: `ack` and `nack` do nothing, and messages that a process has received are lost when it is killed. The
 * socket is bound and connected by its owner.
 */
export class ZmqInlet implements Inlet {
  readonly changed: Signal = new Signal();
  /** Messages never arrive again after a reconnect, so all connections are one. */
  readonly generation = 1;

  readonly #socket: Receiver;
  readonly #events: InletEvents;
  readonly #options: ZmqInletOptions;
  readonly #filter: TopicFilter | undefined;
  readonly #content = {
    properties: PERSISTENT,
    propertiesEnd: PERSISTENT.length,
    body: NOTHING,
    bodyStart: 0,
    bodyEnd: 0,
  };
  readonly #delivery = {
    deliveryTag: 0,
    redelivered: false,
    exchange: "",
    routingKey: "",
    content: this.#content,
  };

  /** @param socket a socket without peers yet */
  constructor(socket: Receiver, events: InletEvents, options: ZmqInletOptions = {}) {
    this.#socket = socket;
    this.#events = events;
    this.#options = options;
    for (const topic of options.topics ?? []) (this.#filter ??= new TopicFilter()).add(topic);
    socket.consume((batch) => this.#receive(batch));
    this.#watch();
  }

  get failure(): Error | undefined {
    return this.#socket.failure;
  }

  /** Does nothing: the owner of the socket opens it. */
  async start(): Promise<void> {}

  /** Does nothing. */
  ack(): void {}

  /** Does nothing. */
  nack(): void {}

  /** Does nothing. */
  flush(): void {}

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Stops reading. */
  async cancel(): Promise<void> {
    this.#socket.pause();
    return await Promise.resolve();
  }

  async close(): Promise<void> {
    await this.#socket.close();
  }

  async #watch(): Promise<void> {
    while (!this.#socket.closed) {
      await this.#socket.change();
      this.changed.fire();
    }
  }

  #receive(batch: Batch): void {
    this.#filter?.apply(batch);
    const { bytes, starts, ends, frames } = batch;
    const { separator } = this.#options;
    const content = this.#content;
    const delivery = this.#delivery;
    content.body = bytes;
    for (let at = 0; at < frames;) {
      const end = batch.messageEnd(at);
      content.bodyStart = starts[end - 1]!;
      content.bodyEnd = ends[end - 1]!;
      if (end - at === 2) delivery.routingKey = readText(bytes, starts[at]!, ends[at]!);
      else if (separator === undefined) delivery.routingKey = "";
      else delivery.routingKey = this.#split(separator);
      if (end - at > 2) this.#options.onUnfit?.(end - at);
      else {
        delivery.deliveryTag++;
        this.#events.onDelivery(delivery as Delivery);
      }
      at = end;
    }
    content.body = NOTHING;
    this.#events.onBatchEnd?.();
  }

  /** Removes the topic and the separator from a body; returns the topic, or "" when there is no separator. */
  #split(separator: Uint8Array): string {
    const content = this.#content;
    const { body, bodyStart, bodyEnd } = content;
    const at = indexOf(body, separator, bodyStart, bodyEnd);
    if (at < 0) return "";
    content.bodyStart = at + separator.length;
    return readText(body, bodyStart, at);
  }
}

/** The index of the first occurrence of `part`, which is not empty, in `bytes[from, to)`; -1 if it does not occur. */
function indexOf(bytes: Uint8Array, part: Uint8Array, from: number, to: number): number {
  const last = to - part.length;
  for (let at = from; at <= last; at++) {
    let same = 0;
    while (same < part.length && bytes[at + same] === part[same]) same++;
    if (same === part.length) return at;
  }
  return -1;
}
