import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import { PROPERTY as AMQP_PROPERTY, PropertyScan } from "../../../amqp/property_scan.ts";
import type { FieldTable, FieldValue } from "../../../amqp/types/field_value.ts";
import { readName } from "../../../bytes/text_cache.ts";
import { type PacketEncoder, sizeofPublish } from "../../../mqtt/packet_encoder.ts";
import { sizeofVariable } from "../../../mqtt/integers.ts";
import { PropertyWriter } from "../../../mqtt/properties.ts";
import { PROPERTY } from "../../../mqtt/property_table.ts";
import { isText } from "../../../mqtt/text.ts";
import { isTopicName } from "../../../mqtt/topic.ts";
import { copyExchanged, exchangeSeparators, HEADER, MAX_NAME } from "../names.ts";

const NO_HEADERS: FieldTable = Object.freeze(Object.create(null));
const utf8 = new TextEncoder();

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
    if (scan.has("expiration")) this.ttl = Number(scan.text("expiration"));
    this.headers = scan.has("headers") ? scan.headers()! : NO_HEADERS;
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

  /** Encodes a PUBLISH. @returns false if it is over the size limit of the client */
  send(encoder: PacketEncoder): boolean {
    const { head, propertiesStart, body, bodyStart, bodyEnd } = this.#message;
    const { sendQos: qos, packetId, aliasKnown, maxPacket } = this;
    const properties = this.#properties;
    properties.length = 0;
    if (encoder.version === 5) this.#writeProperties(properties);
    const topicLength = aliasKnown ? 0 : propertiesStart - this.#keyStart;
    const size = sizeofPublish(encoder.version, qos > 0, topicLength, properties.length, bodyEnd - bodyStart);
    if (1 + sizeofVariable(size) + size > maxPacket) return false;
    copyExchanged(head, this.#keyStart, this.#keyStart + topicLength, this.#topic, 0);
    const flags = (this.dup ? 8 : 0) | qos << 1 | (this.retain ? 1 : 0);
    encoder.publish(
      flags,
      packetId,
      this.#topic,
      0,
      topicLength,
      properties.bytes,
      properties.length,
      body,
      bodyStart,
      bodyEnd,
    );
    return true;
  }

  #writeProperties(into: PropertyWriter): void {
    const scan = this.#scan;
    const { headers, ids, ttl, alias } = this;
    if (alias > 0) into.two(PROPERTY.topicAlias.id, alias);
    if (ids !== undefined) { for (const id of ids) into.variable(PROPERTY.subscriptionIdentifiers.id, id); }
    if (ttl !== Infinity) {
      into.four(PROPERTY.messageExpiryInterval.id, Math.min(0xffff_fffe, Math.max(0, Math.ceil(ttl / 1000))));
    }
    if (scan.flags === 0) return;
    const { head } = this.#message;
    this.#range(into, PROPERTY.contentType.id, AMQP_PROPERTY.contentType, true, headers[HEADER.contentType]);
    this.#range(
      into,
      PROPERTY.correlationData.id,
      AMQP_PROPERTY.correlationId,
      false,
      headers[HEADER.correlationData],
    );
    const long = headers[HEADER.responseTopic];
    if (long instanceof Uint8Array) into.range(PROPERTY.responseTopic.id, long);
    else if (scan.has("replyTo")) {
      const start = scan.starts[AMQP_PROPERTY.replyTo]!;
      const end = scan.ends[AMQP_PROPERTY.replyTo]!;
      const topic = exchangeSeparators(scan.text("replyTo")!);
      if (isText(head, start, end) && isTopicName(topic)) {
        into.text(PROPERTY.responseTopic.id, topic, "replyTo");
      }
    }
    if (headers[HEADER.payloadFormat] === 1) into.byte(PROPERTY.payloadFormatIndicator.id, 1);
    if (headers !== NO_HEADERS) writeUserProperties(headers, into);
  }

  /** Writes a property that is a short string in AMQP, or a header if it is longer. */
  #range(
    into: PropertyWriter,
    id: number,
    property: number,
    isString: boolean,
    long: FieldValue | undefined,
  ): void {
    if (long instanceof Uint8Array) return into.range(id, long);
    const scan = this.#scan;
    if ((scan.flags & 0x8000 >>> property) === 0) return;
    const { head } = this.#message;
    const start = scan.starts[property]!;
    const end = scan.ends[property]!;
    if (!isString || isText(head, start, end)) into.range(id, head, start, end);
  }
}

function writeUserProperties(headers: FieldTable, into: PropertyWriter): void {
  const list = headers[HEADER.userProperties];
  if (Array.isArray(list)) {
    for (let i = 0; i + 1 < list.length; i += 2) writePair(into, String(list[i]), String(list[i + 1]));
    return;
  }
  for (const [name, value] of Object.entries(headers)) {
    if (!name.startsWith("x-mqtt-")) writePair(into, name, textOf(value));
  }
}

/** Writes a header as a user property; one that is no text of MQTT is left out. */
function writePair(into: PropertyWriter, name: string, value: string): void {
  if (isPlain(name) && isPlain(value)) into.pair(name, value);
}

function isPlain(text: string): boolean {
  return text.isWellFormed() && !text.includes("\0") &&
    (text.length < 20_000 || utf8.encode(text).length <= 65_535);
}

/** Returns the text of a header, as an MQTT client would write it. */
function textOf(value: FieldValue): string {
  if (typeof value === "string") return value;
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  if (value === null) return "";
  if (typeof value === "object" && (Array.isArray(value) || Object.getPrototypeOf(value) === null)) {
    return JSON.stringify(value, (_, one) => typeof one === "bigint" ? String(one) : one);
  }
  return String(value);
}
