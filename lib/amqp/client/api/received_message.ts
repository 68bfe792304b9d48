import type { Delivery } from "../../../link/message.ts";
import type { Settlement, Settler } from "../../../link/message_stream.ts";
import { type BasicProperties, decodeProperties } from "../../properties.ts";
import type { AmqpMessage } from "./types.ts";

/** The fields of a received message. */
export interface MessageFields {
  readonly deliveryTag: number;
  readonly exchange: string;
  readonly routingKey: string;
  readonly redelivered: boolean;
  /** Encoded properties, not shared with a receive buffer. */
  readonly properties: Uint8Array;
  readonly body: Uint8Array;
}

/** A message with bytes of its own, from a consumer or from `basic.get`. */
export class ReceivedMessage implements AmqpMessage {
  readonly exchange: string;
  readonly routingKey: string;
  readonly redelivered: boolean;
  readonly body: Uint8Array;

  readonly #deliveryTag: number;
  readonly #generation: number;
  readonly #encoded: Uint8Array;
  #properties: BasicProperties | undefined;
  /** Undefined after the message is settled. */
  #settler: Settler | undefined;

  /** @param generation the number of the connection that delivered the message */
  constructor(fields: MessageFields, settler: Settler, generation: number) {
    this.exchange = fields.exchange;
    this.routingKey = fields.routingKey;
    this.redelivered = fields.redelivered;
    this.body = fields.body;
    this.#deliveryTag = fields.deliveryTag;
    this.#encoded = fields.properties;
    this.#settler = settler;
    this.#generation = generation;
  }

  get properties(): BasicProperties {
    return this.#properties ??= decodeProperties(this.#encoded);
  }

  text(): string {
    return new TextDecoder().decode(this.body);
  }

  ack(): void {
    this.#settle("ack");
  }

  nack(requeue = true): void {
    this.#settle(requeue ? "requeue" : "reject");
  }

  #settle(outcome: Settlement): void {
    const settler = this.#settler;
    this.#settler = undefined;
    settler?.settle(this.#generation, this.#deliveryTag, outcome);
  }
}

/** Copies a delivery, which is valid during its callback only. @param generation the number of its connection */
export function copyOf(delivery: Delivery, settler: Settler, generation: number): ReceivedMessage {
  return new ReceivedMessage(fieldsOf(delivery), settler, generation);
}

/** Copies the fields of a delivery. */
export function fieldsOf(delivery: Delivery): MessageFields {
  const { content, deliveryTag, exchange, routingKey, redelivered } = delivery;
  const { properties, propertiesEnd, body, bodyStart, bodyEnd } = content;
  return {
    deliveryTag,
    exchange,
    routingKey,
    redelivered,
    properties: properties.slice(0, propertiesEnd),
    body: body.slice(bodyStart, bodyEnd),
  };
}
