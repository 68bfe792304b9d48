/** The properties of a PUBLISH as those of an AMQP message, by the rules of RabbitMQ. */
import type { FieldTable, FieldValue } from "../../amqp/types/field_value.ts";
import { copyBytes } from "../../bytes/frame_buffer.ts";
import type { PublishFields } from "../../mqtt/fields.ts";
import { copyOf, readTwo } from "../../mqtt/integers.ts";
import { type PropertyScan as MqttScan, readPair } from "../../mqtt/property_scan.ts";
import { PROPERTY } from "../../mqtt/property_table.ts";
import { HEADER } from "./headers.ts";

/** The size limit of a short string of AMQP, in bytes. */
const MAX_SHORT = 255;
/** The highest time to live of our broker and of RabbitMQ, ten years, in seconds. */
const MAX_EXPIRY = 315_000_000;
/** The highest size of all properties but the headers, in bytes: flags, and short strings with their length. */
export const ROOM: number = 4 * 256 + 2;

/** Flags of AMQP properties, by the position of the property (4.2.6.1). */
const CONTENT_TYPE = 1 << 15;
const HEADERS = 1 << 13;
const DELIVERY_MODE = 1 << 12;
const CORRELATION_ID = 1 << 10;
const REPLY_TO = 1 << 9;
const EXPIRATION = 1 << 8;

/** Headers that mean something to an AMQP broker, which a user property must not set. */
const RESERVED = /^(CC|BCC|x-delay|x-death|x-match|x-mqtt-.*)$/;

/** Sets a header. */
export type SetHeader = (name: string, value: FieldValue) => void;

/**
 * Returns the headers of a message; undefined for none.
 *
 * @param setOwn sets further headers, before those of the message
 */
export function headersOf(
  { retain, properties }: PublishFields,
  setOwn: (set: SetHeader) => void,
): FieldTable | undefined {
  const headers: FieldTable = Object.create(null);
  let any = false;
  const set = (name: string, value: FieldValue) => {
    headers[name] = value;
    any = true;
  };
  setOwn(set);
  if (retain) set(HEADER.retain, true);
  if (!properties.isEmpty) {
    setLong(properties, PROPERTY.correlationData.id, HEADER.correlationData, set);
    setLong(properties, PROPERTY.responseTopic.id, HEADER.responseTopic, set);
    setLong(properties, PROPERTY.contentType.id, HEADER.contentType, set);
    if (properties.number(PROPERTY.payloadFormatIndicator.id) === 1) set(HEADER.payloadFormat, 1);
    const more = properties.number(PROPERTY.messageExpiryInterval.id) - MAX_EXPIRY;
    if (more > 0) set(HEADER.moreExpiry, more);
    if (properties.has(PROPERTY.userProperties.id)) setUserProperties(properties, set);
  }
  return any ? headers : undefined;
}

/**
 * Writes flags and properties of AMQP for those of a PUBLISH.
 *
 * @param isPersistent whether the message has the delivery mode 2
 * @param table the encoded headers of `headersOf`; undefined for none
 * @param target a buffer with room for `ROOM` bytes and the table at `at`
 * @param copyTopic copies the response topic
 * @returns the position after the last byte
 */
export function writeAmqpProperties(
  { properties }: PublishFields,
  isPersistent: boolean,
  table: Uint8Array | undefined,
  target: Uint8Array,
  at: number,
  copyTopic: typeof copyBytes,
): number {
  const start = at;
  at += 2;
  let flags = 0;
  const contentType = rangeOf(properties, PROPERTY.contentType.id);
  if (contentType >= 0) {
    flags |= CONTENT_TYPE;
    at = copyShort(properties.bytes, contentType, target, at, copyBytes);
  }
  if (table !== undefined) {
    flags |= HEADERS;
    at = copyBytes(table, 0, table.length, target, at);
  }
  if (isPersistent) {
    flags |= DELIVERY_MODE;
    target[at++] = 2;
  }
  const correlation = rangeOf(properties, PROPERTY.correlationData.id);
  if (correlation >= 0) {
    flags |= CORRELATION_ID;
    at = copyShort(properties.bytes, correlation, target, at, copyBytes);
  }
  const response = rangeOf(properties, PROPERTY.responseTopic.id);
  if (response >= 0) {
    flags |= REPLY_TO;
    at = copyShort(properties.bytes, response, target, at, copyTopic);
  }
  const expiry = properties.number(PROPERTY.messageExpiryInterval.id);
  if (expiry >= 0) {
    flags |= EXPIRATION;
    const text = String(Math.min(expiry, MAX_EXPIRY) * 1000);
    target[at++] = text.length;
    for (let i = 0; i < text.length; i++) target[at++] = text.charCodeAt(i);
  }
  target[start] = flags >>> 8;
  target[start + 1] = flags;
  return at;
}

/** The position of a string or binary data that fits a short string; -1 if it is absent or too long. */
function rangeOf(properties: MqttScan, id: number): number {
  const at = properties.starts[id]!;
  return at === 0 || readTwo(properties.bytes, at) > MAX_SHORT ? -1 : at;
}

function copyShort(
  bytes: Uint8Array,
  from: number,
  target: Uint8Array,
  at: number,
  copy: typeof copyBytes,
): number {
  const length = readTwo(bytes, from);
  target[at] = length;
  return copy(bytes, from + 2, from + 2 + length, target, at + 1);
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
  if (length > MAX_SHORT) set(name, copyOf(properties.bytes, at + 2, at + 2 + length));
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
      new TextEncoder().encode(name).length <= MAX_SHORT;
    if (fits && !seen.has(name)) set(name, value);
    else lossy = true;
    seen.add(name);
  });
  if (lossy) set(HEADER.userProperties, list);
}
