/** The messages that filters test. */
import { readText } from "../bytes/text.ts";
import type { Delivery } from "../link/message.ts";

/** A message of any system, as a filter sees it. Only what the filter needs is decoded. */
export interface FilterMessage {
  /** The topic: the routing key, the topic of MQTT or the destination of STOMP. */
  topic(): string | undefined;
  /** The exchange; undefined outside of AMQP. */
  exchange(): string | undefined;
  /** Whether it was delivered before. */
  readonly redelivered: boolean;
  /** Encoded properties and headers at `[propertiesStart, propertiesEnd)`; empty for none. */
  readonly properties: Uint8Array;
  readonly propertiesStart: number;
  readonly propertiesEnd: number;
  /** The body at `[bodyStart, bodyEnd)`. */
  readonly body: Uint8Array;
  readonly bodyStart: number;
  readonly bodyEnd: number;
}

/** A message that a client received. One object serves all messages: `of` sets the next one. */
export class DeliveredMessage implements FilterMessage {
  #delivery!: Delivery;

  /** Sets the message, which is valid as long as the delivery. */
  of(delivery: Delivery): this {
    this.#delivery = delivery;
    return this;
  }

  topic(): string {
    return this.#delivery.routingKey;
  }

  exchange(): string {
    return this.#delivery.exchange;
  }

  get redelivered(): boolean {
    return this.#delivery.redelivered;
  }

  get properties(): Uint8Array {
    return this.#delivery.content.properties;
  }

  get propertiesStart(): number {
    return 0;
  }

  get propertiesEnd(): number {
    return this.#delivery.content.propertiesEnd;
  }

  get body(): Uint8Array {
    return this.#delivery.content.body;
  }

  get bodyStart(): number {
    return this.#delivery.content.bodyStart;
  }

  get bodyEnd(): number {
    return this.#delivery.content.bodyEnd;
  }
}

const NONE = new Uint8Array(0);

/** A message without properties, such as those of ZeroMQ. One object serves all messages: set its members. */
export class PlainMessage implements FilterMessage {
  /** The first frame, if the message has several. */
  topicFrame: Uint8Array | undefined = undefined;
  body: Uint8Array = NONE;
  bodyStart = 0;
  bodyEnd = 0;
  readonly redelivered = false;
  readonly properties = NONE;
  readonly propertiesStart = 0;
  readonly propertiesEnd = 0;

  topic(): string | undefined {
    const frame = this.topicFrame;
    return frame === undefined ? undefined : readText(frame, 0, frame.length);
  }

  exchange(): undefined {}
}
