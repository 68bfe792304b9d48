import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import { PropertyScan } from "../../../amqp/property_scan.ts";
import type { FieldTable, FieldValue } from "../../../amqp/types/field_value.ts";
import { encodeTable } from "../../../amqp/types/table.ts";
import { copyBytes } from "../../../bytes/frame_buffer.ts";
import { readName } from "../../../bytes/text_cache.ts";
import type { PublishFields } from "../../../mqtt/fields.ts";
import { copyOf, readTwo } from "../../../mqtt/integers.ts";
import { type PropertyScan as MqttScan, readPair } from "../../../mqtt/property_scan.ts";
import { PROPERTY } from "../../../mqtt/property_table.ts";
import { copyExchanged, EXCHANGE, HEADER, MAX_NAME } from "../names.ts";

const NOTHING = new Uint8Array(0);
const ROUTE = new TextEncoder().encode(`${String.fromCharCode(EXCHANGE.length)}${EXCHANGE}`);

/** Flags of AMQP properties, by the position of the property (4.2.6.1). */
const CONTENT_TYPE = 1 << 15;
const HEADERS = 1 << 13;
const DELIVERY_MODE = 1 << 12;
const CORRELATION_ID = 1 << 10;
const REPLY_TO = 1 << 9;
const EXPIRATION = 1 << 8;

/** Headers that mean something to an AMQP broker, which a user property must not set. */
const RESERVED = /^(CC|BCC|x-delay|x-death|x-match|x-mqtt-.*)$/;

/**
 * The message of a PUBLISH in the form of the core. One object is reused for all messages; a message without properties
 * allocates nothing.
 */
export class IncomingMessage implements EncodedMessage {
  head: Uint8Array = new Uint8Array(2048);
  readonly routeStart = 0;
  propertiesStart = 0;
  propertiesEnd = 0;
  body: Uint8Array = NOTHING;
  bodyStart = 0;
  bodyEnd = 0;
  readonly scan: PropertyScan = new PropertyScan();
  /** The routing key. */
  key = "";

  /**
   * Sets the message.
   *
   * @param topic a buffer whose bytes `[topicStart, topicEnd)`, at most 255, are the topic
   * @param packetId set if the state of the publisher's session refers to it; else 0
   * @param clientId set if a subscriber wants no messages of its own
   * @param stored whether the message is stored by itself, so that its delivery mode does not tell the QoS
   */
  set(
    fields: PublishFields,
    topic: Uint8Array,
    topicStart: number,
    topicEnd: number,
    packetId: number,
    clientId: string | undefined,
    stored: boolean,
  ): void {
    const { qos, retain, properties } = fields;
    let head = this.head;
    let at = copyBytes(ROUTE, 0, ROUTE.length, head, 0);
    head[at++] = topicEnd - topicStart;
    const keyStart = at;
    at = this.propertiesStart = copyExchanged(topic, topicStart, topicEnd, head, at);
    this.key = readName(head, keyStart, at);
    at += 2;
    let flags = 0;
    const mode = stored || qos > 0 ? DELIVERY_MODE : 0;
    if (properties.isEmpty && qos < 2 && !retain && !stored && clientId === undefined) {
      flags = mode;
      if (mode > 0) head[at++] = 2;
    } else {
      const headers = headersOf(fields, packetId, clientId, stored);
      const table = headers === undefined ? undefined : encodeTable(headers);
      if (table !== undefined && at + table.length + 4 * 256 > head.length) {
        head = new Uint8Array(at + table.length + 4 * 256);
        head.set(this.head.subarray(0, at));
        this.head = head;
      }
      const contentType = rangeOf(properties, PROPERTY.contentType.id);
      if (contentType >= 0) {
        flags |= CONTENT_TYPE;
        at = copyShort(properties.bytes, contentType, head, at);
      }
      if (table !== undefined) {
        flags |= HEADERS;
        at = copyBytes(table, 0, table.length, head, at);
      }
      if (mode > 0) {
        flags |= mode;
        head[at++] = 2;
      }
      const correlation = rangeOf(properties, PROPERTY.correlationData.id);
      if (correlation >= 0) {
        flags |= CORRELATION_ID;
        at = copyShort(properties.bytes, correlation, head, at);
      }
      const response = rangeOf(properties, PROPERTY.responseTopic.id);
      if (response >= 0) {
        flags |= REPLY_TO;
        const { bytes } = properties;
        const length = readTwo(bytes, response);
        head[at++] = length;
        at = copyExchanged(bytes, response + 2, response + 2 + length, head, at);
      }
      const expiry = properties.number(PROPERTY.messageExpiryInterval.id);
      if (expiry >= 0) {
        flags |= EXPIRATION;
        // The highest time to live of the core is ten years.
        const text = String(Math.min(expiry, 315_000_000) * 1000);
        head[at++] = text.length;
        for (let i = 0; i < text.length; i++) head[at++] = text.charCodeAt(i);
      }
    }
    head[this.propertiesStart] = flags >>> 8;
    head[this.propertiesStart + 1] = flags;
    this.propertiesEnd = at;
    this.body = fields.bytes;
    this.bodyStart = fields.payloadStart;
    this.bodyEnd = fields.payloadEnd;
    this.scan.read(head, this.propertiesStart, at);
  }

  /** Releases the packet, which is valid during its callback only. */
  release(): void {
    this.body = NOTHING;
    if (this.head.length > 64 * 1024) this.head = new Uint8Array(2048);
  }
}

/** The position of a string or binary data that fits a short string; -1 if it is absent or too long. */
function rangeOf(properties: MqttScan, id: number): number {
  const at = properties.starts[id]!;
  return at === 0 || readTwo(properties.bytes, at) > MAX_NAME ? -1 : at;
}

function copyShort(bytes: Uint8Array, from: number, target: Uint8Array, at: number): number {
  const length = readTwo(bytes, from);
  target[at] = length;
  return copyBytes(bytes, from + 2, from + 2 + length, target, at + 1);
}

/** The headers that a message needs; undefined for none. */
function headersOf(
  { qos, retain, properties }: PublishFields,
  packetId: number,
  clientId: string | undefined,
  stored: boolean,
): FieldTable | undefined {
  const headers: FieldTable = Object.create(null);
  let any = false;
  const set = (name: string, value: FieldValue) => {
    headers[name] = value;
    any = true;
  };
  if (qos === 2 || stored) set(HEADER.qos, qos);
  if (retain) set(HEADER.retain, true);
  if (packetId > 0) set(HEADER.packetId, packetId);
  if (clientId !== undefined) set(HEADER.clientId, clientId);
  if (!properties.isEmpty) {
    setLong(properties, PROPERTY.correlationData.id, HEADER.correlationData, set);
    setLong(properties, PROPERTY.responseTopic.id, HEADER.responseTopic, set);
    setLong(properties, PROPERTY.contentType.id, HEADER.contentType, set);
    if (properties.number(PROPERTY.payloadFormatIndicator.id) === 1) set(HEADER.payloadFormat, 1);
    if (properties.has(PROPERTY.userProperties.id)) setUserProperties(properties, set);
  }
  return any ? headers : undefined;
}

/** Sets a header for a value that does not fit the property of AMQP. */
function setLong(
  properties: MqttScan,
  id: number,
  name: string,
  set: (name: string, value: FieldValue) => void,
): void {
  const at = properties.starts[id]!;
  if (at === 0) return;
  const length = readTwo(properties.bytes, at);
  if (length > MAX_NAME) set(name, copyOf(properties.bytes, at + 2, at + 2 + length));
}

/** Sets headers for user properties, and keeps the whole list if headers would lose names, values or the order. */
function setUserProperties(properties: MqttScan, set: (name: string, value: FieldValue) => void): void {
  const list: string[] = [];
  const seen = new Set<string>();
  let lossy = false;
  properties.each(PROPERTY.userProperties.id, (at) => {
    const [name, value] = readPair(properties.bytes, at);
    list.push(name, value);
    // Names that are numbers would change the order of a table in memory.
    const fits = !RESERVED.test(name) && !/^\d+$/.test(name) &&
      new TextEncoder().encode(name).length <= MAX_NAME;
    if (fits && !seen.has(name)) set(name, value);
    else lossy = true;
    seen.add(name);
  });
  if (lossy) set(HEADER.userProperties, list);
}
