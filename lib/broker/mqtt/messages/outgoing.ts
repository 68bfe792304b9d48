import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import { PROPERTY as AMQP_PROPERTY, PropertyScan } from "../../../amqp/property_scan.ts";
import type { FieldTable } from "../../../amqp/types/field_value.ts";
import { readName } from "../../../bytes/text_cache.ts";
import { HEADER } from "../../../crossing/mqtt/headers.ts";
import { NO_HEADERS, writeExpiry, writeMqttProperties } from "../../../crossing/mqtt/to_mqtt.ts";
import { type PacketEncoder, sizeofPublish } from "../../../mqtt/packet_encoder.ts";
import { isText } from "../../../mqtt/text.ts";
import { sizeofVariable } from "../../../mqtt/integers.ts";
import { PropertyWriter } from "../../../mqtt/properties.ts";
import { PROPERTY } from "../../../mqtt/property_table.ts";
import { copyExchanged, exchangeSeparators, MAX_NAME } from "../names.ts";

const PLUS = 0x2b;
const HASH = 0x23;

/** A message of the core, as it is sent in a PUBLISH. One object is reused for all messages. */
export class OutgoingMessage {
  /** The routing key. */
  key = "";
  /** The QoS of the publish. */
  qos = 0;
  headers: FieldTable = NO_HEADERS;

  /** How the next `send` sends it; `read` sets the defaults. */
  sendQos = 0;
  dup = false;
  retain = false;
  /** 0 for QoS 0. */
  packetId = 0;
  /** The identifiers of the subscriptions that it matches. */
  ids: readonly number[] | undefined;
  /** What is left of its time to live, in milliseconds; Infinity for ever. */
  ttl = Infinity;
  /** The topic alias; 0 for none. */
  alias = 0;
  /** Whether the client knows the alias, which then stands for the topic. */
  aliasKnown = false;
  /** The size limit of the client, in bytes. */
  maxPacket = Infinity;

  readonly #scan = new PropertyScan();
  #message!: EncodedMessage;
  #keyStart = 0;
  readonly #topic = new Uint8Array(MAX_NAME);
  readonly #properties = new PropertyWriter();

  /** Reads a message, which must stay valid until the last `send`. */
  read(message: EncodedMessage): void {
    this.#message = message;
    const { head, routeStart, propertiesStart, propertiesEnd } = message;
    this.#keyStart = routeStart + 2 + head[routeStart]!;
    this.key = readName(head, this.#keyStart, propertiesStart);
    const scan = this.#scan;
    scan.read(head, propertiesStart, propertiesEnd);
    this.sendQos = this.packetId = this.alias = 0;
    this.dup = this.retain = this.aliasKnown = false;
    this.ids = undefined;
    this.maxPacket = Infinity;
    this.ttl = Infinity;
    if (scan.has(AMQP_PROPERTY.expiration)) this.ttl = Number(scan.text(AMQP_PROPERTY.expiration));
    this.headers = scan.has(AMQP_PROPERTY.headers) ? scan.headers()! : NO_HEADERS;
    const qos = this.headers[HEADER.qos];
    // As in RabbitMQ: a persistent message of another protocol has QoS 1.
    this.qos = qos === 0 || qos === 1 || qos === 2 ? qos : scan.persistent ? 1 : 0;
  }

  /** Whether it was published with the flag RETAIN. */
  get retained(): boolean {
    return this.headers[HEADER.retain] === true;
  }

  /** Whether it is a stored message that is sent because of a new subscription. */
  get isStored(): boolean {
    return this.headers[HEADER.retain] === 1;
  }

  /**
   * Encodes a PUBLISH.
   *
   * @returns false if it is over the size limit of the client, or its routing key is no topic name
   */
  send(encoder: PacketEncoder): boolean {
    const { head, propertiesStart, body, bodyStart, bodyEnd } = this.#message;
    const { sendQos: qos, packetId, aliasKnown, maxPacket } = this;
    const properties = this.#properties;
    properties.length = 0;
    if (encoder.version === 5) this.#writeProperties(properties);
    const topicLength = aliasKnown ? 0 : propertiesStart - this.#keyStart;
    const size = sizeofPublish(encoder.version, qos > 0, topicLength, properties.length, bodyEnd - bodyStart);
    if (1 + sizeofVariable(size) + size > maxPacket) return false;
    // The client knows aliases of topic names only.
    if (!aliasKnown && !this.#copyTopic(head, propertiesStart)) return false;
    const flags = (this.dup ? 8 : 0) | qos << 1 | (this.retain ? 1 : 0);
    encoder.publish(
      flags,
      packetId,
      this.#topic,
      topicLength,
      properties.bytes,
      properties.length,
      body,
      bodyStart,
      bodyEnd,
    );
    return true;
  }

  /**
   * Copies the routing key as a topic.
   *
   * @returns whether it is a topic name; messages of other protocols may have other keys [MQTT-4.7.3-1] [MQTT-3.3.2-2]
   */
  #copyTopic(head: Uint8Array, end: number): boolean {
    const topic = this.#topic;
    const length = copyExchanged(head, this.#keyStart, end, topic, 0);
    let ascii = true;
    for (let at = 0; at < length; at++) {
      const byte = topic[at]!;
      if (byte === PLUS || byte === HASH) return false;
      if (byte === 0 || byte > 127) ascii = false;
    }
    return length > 0 && (ascii || isText(topic, 0, length));
  }

  #writeProperties(into: PropertyWriter): void {
    const scan = this.#scan;
    const { headers, ids, ttl, alias } = this;
    if (alias > 0) into.two(PROPERTY.topicAlias.id, alias);
    if (ids !== undefined) { for (const id of ids) into.variable(PROPERTY.subscriptionIdentifiers.id, id); }
    if (ttl !== Infinity) writeExpiry(ttl, headers, into);
    if (scan.flags > 0) writeMqttProperties(scan, this.#message.head, headers, into, exchangeSeparators);
  }
}
