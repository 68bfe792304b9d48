/** The properties of an AMQP message as those of a PUBLISH, by the rules of RabbitMQ. */
import {
  PROPERTY as AMQP_PROPERTY,
  type PropertyIndex,
  type PropertyScan,
} from "../../amqp/property_scan.ts";
import type { FieldTable, FieldValue } from "../../amqp/types/field_value.ts";
import type { PropertyWriter } from "../../mqtt/properties.ts";
import { PROPERTY } from "../../mqtt/property_table.ts";
import { isText, MAX_TEXT } from "../../mqtt/text.ts";
import { isTopicName } from "../../mqtt/topic.ts";
import { HEADER } from "./headers.ts";

/** The headers of a message without headers. */
export const NO_HEADERS: FieldTable = Object.freeze(Object.create(null));
const utf8 = new TextEncoder();
const utf8Decoder = new TextDecoder();

/**
 * Writes the time to live of a message: MQTT counts seconds.
 *
 * @param ttl milliseconds
 * @param headers the headers of the message: they have the part that is above the limit of brokers
 */
export function writeExpiry(ttl: number, headers: FieldTable, into: PropertyWriter): void {
  const more = headers[HEADER.moreExpiry];
  const seconds = Math.ceil(ttl / 1000) +
    (typeof more === "number" || typeof more === "bigint" ? Number(more) : 0);
  into.four(PROPERTY.messageExpiryInterval.id, Math.min(0xffff_ffff, Math.max(0, seconds)));
}

/**
 * Writes the properties of MQTT for those of an AMQP message, without its time to live.
 *
 * @param scan the properties, which are in `bytes`
 * @param headers the decoded headers
 * @param topicOf returns the topic for the address in `reply_to`
 */
export function writeMqttProperties(
  scan: PropertyScan,
  bytes: Uint8Array,
  headers: FieldTable,
  into: PropertyWriter,
  topicOf: (address: string) => string,
): void {
  const { contentType, correlationId, replyTo } = AMQP_PROPERTY;
  writeRange(scan, bytes, contentType, headers[HEADER.contentType], into, PROPERTY.contentType.id, true);
  const long = headers[HEADER.correlationData];
  writeRange(scan, bytes, correlationId, long, into, PROPERTY.correlationData.id, false);
  const response = headers[HEADER.responseTopic];
  if (isLong(response, true) && isTopicName(utf8Decoder.decode(response))) {
    into.range(PROPERTY.responseTopic.id, response);
  } else if (scan.has(replyTo)) {
    const topic = topicOf(scan.text(replyTo)!);
    if (isText(bytes, scan.starts[replyTo]!, scan.ends[replyTo]!) && isTopicName(topic)) {
      into.text(PROPERTY.responseTopic.id, topic, "replyTo");
    }
  }
  if (headers[HEADER.payloadFormat] === 1) into.byte(PROPERTY.payloadFormatIndicator.id, 1);
  if (headers !== NO_HEADERS) writeUserProperties(headers, into);
}

/** Whether a header holds a value of MQTT: any AMQP client may set it. */
function isLong(value: FieldValue | undefined, isString: boolean): value is Uint8Array {
  return value instanceof Uint8Array && value.length <= MAX_TEXT &&
    (!isString || isText(value, 0, value.length));
}

/** Writes a property that is a short string in AMQP, or a header if it is longer. */
function writeRange(
  scan: PropertyScan,
  bytes: Uint8Array,
  property: PropertyIndex,
  long: FieldValue | undefined,
  into: PropertyWriter,
  id: number,
  isString: boolean,
): void {
  if (isLong(long, isString)) return into.range(id, long);
  if (!scan.has(property)) return;
  const start = scan.starts[property]!;
  const end = scan.ends[property]!;
  if (!isString || isText(bytes, start, end)) into.range(id, bytes, start, end);
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
