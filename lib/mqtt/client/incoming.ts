import { readName } from "../../bytes/text_cache.ts";
import { LimitError } from "../../errors.ts";
import type { Delivery } from "../../link/message.ts";
import { PublishFields } from "../fields.ts";
import { protocolError } from "../mqtt_error.ts";
import type { ProtocolVersion } from "../packet_type.ts";
import type { PropertyMapping, PropertyTarget } from "./mapping.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** A received message. The object and its delivery are reused for all messages. */
export class Incoming {
  readonly fields: PublishFields = new PublishFields();

  readonly #mapping: PropertyMapping | undefined;
  readonly #maxMessage: number;
  readonly #content: Mutable<Delivery["content"]> & PropertyTarget = {
    properties: new Uint8Array(2),
    propertiesEnd: 2,
    body: new Uint8Array(0),
    bodyStart: 0,
    bodyEnd: 0,
  };
  readonly #delivery: Mutable<Delivery> = {
    deliveryTag: 0,
    redelivered: false,
    exchange: "",
    routingKey: "",
    content: this.#content,
  };

  /** @param maxMessage the size limit for payloads, in bytes */
  constructor(mapping: PropertyMapping | undefined, maxMessage: number) {
    this.#mapping = mapping;
    this.#maxMessage = maxMessage;
  }

  /**
   * Reads a PUBLISH into `fields`.
   *
   * @throws {MqttError} it is malformed, or has a topic alias
   * @throws {LimitError} the payload is over the limit
   */
  read(flags: number, bytes: Uint8Array, start: number, end: number, version: ProtocolVersion): void {
    const { fields } = this;
    fields.read(flags, bytes, start, end, version);
    if (fields.topicStart === fields.topicEnd) { // [MQTT-3.1.2-26]
      throw protocolError("The server sent a topic alias, which the client does not accept");
    }
    const size = fields.payloadEnd - fields.payloadStart;
    if (size > this.#maxMessage) {
      throw new LimitError(`Received a message of ${size} bytes: the limit is ${this.#maxMessage}`);
    }
  }

  /** The message of the last `read`. */
  delivery(deliveryTag: number): Delivery {
    const { fields } = this;
    const { bytes } = fields;
    const delivery = this.#delivery;
    delivery.deliveryTag = deliveryTag;
    delivery.redelivered = fields.dup;
    delivery.routingKey = readName(bytes, fields.topicStart, fields.topicEnd);
    const content = this.#content;
    this.#mapping?.read(fields, content);
    content.body = bytes;
    content.bodyStart = fields.payloadStart;
    content.bodyEnd = fields.payloadEnd;
    return delivery;
  }
}
