/** How the headers of frames become properties and headers of messages, and the other way, as in RabbitMQ. */
import type { BasicProperties } from "../../amqp/properties.ts";
import { type FieldTable, type FieldValue, Timestamp, TypedNumber } from "../../amqp/types/field_value.ts";
import { textLength } from "../../bytes/text.ts";
import type { StompEncoder } from "../../stomp/frame_encoder.ts";
import type { StompFrame } from "../../stomp/frame.ts";
import { StompError } from "../../stomp/stomp_error.ts";
import { formatReplyTo, parseReplyTo } from "./destination.ts";

type TextProperty =
  | "contentType"
  | "contentEncoding"
  | "correlationId"
  | "replyTo"
  | "expiration"
  | "messageId"
  | "type"
  | "userId"
  | "appId";

/** The headers that are properties with a text. */
const TEXTS: ReadonlyMap<string, TextProperty> = new Map([
  ["content-type", "contentType"],
  ["content-encoding", "contentEncoding"],
  ["correlation-id", "correlationId"],
  ["reply-to", "replyTo"],
  ["expiration", "expiration"],
  ["amqp-message-id", "messageId"],
  ["type", "type"],
  ["user-id", "userId"],
  ["app-id", "appId"],
]);

/** The largest text of a property, in bytes. */
const MAX_TEXT = 255;
const MAX_TIMESTAMP = (1n << 64n) - 1n;

/** The headers of a MESSAGE frame that are written by its server or its publisher, and are not part of the message. */
const OF_FRAME: ReadonlySet<string> = new Set([
  "destination",
  "message-id",
  "subscription",
  "redelivered",
  "ack",
  "content-length",
  "receipt",
  "transaction",
]);

/**
 * The headers of a MESSAGE frame that only its server writes. A publisher could mislead subscribers with others of these
 * names: many clients take the last of repeated headers.
 */
const OF_SERVER: ReadonlySet<string> = new Set([
  "destination",
  "message-id",
  "subscription",
  "redelivered",
  "ack",
  "content-length",
]);

/** The headers of a SEND frame to `/queue/NAME` that are properties and arguments of the queue. */
const OF_QUEUE: ReadonlySet<string> = new Set([
  "durable",
  "auto-delete",
  "exclusive",
  "x-dead-letter-exchange",
  "x-dead-letter-routing-key",
  "x-expires",
  "x-max-length",
  "x-max-length-bytes",
  "x-max-priority",
  "x-message-ttl",
  "x-queue-type",
]);

/**
 * Returns the properties of the message in a SEND frame. All headers that are not properties become headers of the
 * message, with their text.
 *
 * @throws {StompError} a header does not fit its property
 */
export function propertiesOfSend(frame: StompFrame): BasicProperties {
  const properties: BasicProperties = {};
  let headers: FieldTable | undefined;
  for (const [name, value] of frame.headers) {
    if (name === "destination" || setProperty(properties, name, value)) continue;
    if (textLength(name) > MAX_TEXT) {
      throw invalid(`${name.slice(0, 20)}…`, `has a name of more than ${MAX_TEXT} bytes`);
    }
    headers ??= Object.create(null) as FieldTable;
    headers[name] = value;
  }
  if (headers !== undefined) properties.headers = headers;
  return properties;
}

/**
 * Returns the properties of the message in a MESSAGE frame. Headers that do not fit their property become headers of the
 * message, and names over 255 bytes are left out, as AMQP has no place for them.
 */
export function propertiesOfMessage(frame: StompFrame): BasicProperties {
  const properties: BasicProperties = {};
  let headers: FieldTable | undefined;
  for (const [name, value] of frame.headers) {
    if (OF_FRAME.has(name) || fits(properties, name, value) || textLength(name) > MAX_TEXT) continue;
    headers ??= Object.create(null) as FieldTable;
    headers[name] = value;
  }
  if (headers !== undefined) properties.headers = headers;
  if (properties.replyTo !== undefined) properties.replyTo = parseReplyTo(properties.replyTo);
  return properties;
}

/** Whether a header of a MESSAGE frame is part of the message. */
export function isOfMessage(name: string): boolean {
  return !OF_FRAME.has(name);
}

/** Writes properties and headers of a message as the headers of a MESSAGE frame, without those that its server writes. */
export function writeMessageHeaders(encoder: StompEncoder, properties: BasicProperties): void {
  const { headers, replyTo } = properties;
  for (const name in headers) if (!OF_SERVER.has(name)) writeHeader(encoder, name, headers[name]!);
  writeProperties(encoder, properties, replyTo === undefined ? undefined : formatReplyTo(replyTo));
}

/**
 * Writes properties and headers of a message as the headers of a SEND frame. Headers that have another meaning there are
 * left out.
 *
 * @param declares whether the destination is `/queue/NAME`, so that headers can be arguments of the queue
 */
export function writeSendHeaders(
  encoder: StompEncoder,
  properties: BasicProperties,
  declares: boolean,
): void {
  writeProperties(encoder, properties, properties.replyTo);
  const { headers } = properties;
  for (const name in headers) {
    if (OF_FRAME.has(name) || isProperty(name) || declares && OF_QUEUE.has(name)) continue;
    writeHeader(encoder, name, headers[name]!);
  }
}

/** Writes a header of a message, if its value has a text. */
function writeHeader(encoder: StompEncoder, name: string, value: FieldValue): void {
  const text = textOf(value);
  if (text !== undefined) encoder.header(name, text);
}

function writeProperties(
  encoder: StompEncoder,
  properties: BasicProperties,
  replyTo: string | undefined,
): void {
  if (properties.appId !== undefined) encoder.header("app-id", properties.appId);
  if (properties.userId !== undefined) encoder.header("user-id", properties.userId);
  if (properties.type !== undefined) encoder.header("type", properties.type);
  if (properties.timestamp !== undefined) encoder.header("timestamp", String(properties.timestamp));
  if (properties.messageId !== undefined) encoder.header("amqp-message-id", properties.messageId);
  if (properties.expiration !== undefined) encoder.header("expiration", properties.expiration);
  if (replyTo !== undefined) encoder.header("reply-to", replyTo);
  if (properties.correlationId !== undefined) encoder.header("correlation-id", properties.correlationId);
  if (properties.priority !== undefined) encoder.header("priority", String(properties.priority));
  if (properties.deliveryMode === 2) encoder.header("persistent", "true");
  if (properties.contentEncoding !== undefined) {
    encoder.header("content-encoding", properties.contentEncoding);
  }
  if (properties.contentType !== undefined) encoder.header("content-type", properties.contentType);
}

function isProperty(name: string): boolean {
  return TEXTS.has(name) || name === "persistent" || name === "priority" || name === "timestamp";
}

/**
 * Sets the property that belongs to a header.
 *
 * @returns whether there is one
 * @throws {StompError} the value does not fit the property
 */
function setProperty(properties: BasicProperties, name: string, value: string): boolean {
  const property = TEXTS.get(name);
  if (property !== undefined) {
    if (textLength(value) > MAX_TEXT) throw invalid(name, `has more than ${MAX_TEXT} bytes`);
    properties[property] = value;
    return true;
  }
  switch (name) {
    case "persistent":
      if (booleanOf(name, value)) properties.deliveryMode = 2;
      return true;
    case "priority":
      properties.priority = Number(integerHeader(name, value, 255n));
      return true;
    case "timestamp": {
      const seconds = integerHeader(name, value, MAX_TIMESTAMP);
      properties.timestamp = seconds <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(seconds) : seconds;
      return true;
    }
    default:
      return false;
  }
}

/** Whether a header is a property, and fits it; it is set then. */
function fits(properties: BasicProperties, name: string, value: string): boolean {
  try {
    return setProperty(properties, name, value);
  } catch {
    return false;
  }
}

/** Reads a header that is `true` or `false`. @throws {StompError} it is neither */
export function booleanOf(name: string, value: string): boolean {
  if (value === "true" || value === "True") return true;
  if (value === "false" || value === "False") return false;
  throw invalid(name, `must be true or false, not '${value.slice(0, 60)}'`);
}

/** Reads a header that is a whole number up to `max`. @throws {StompError} it is not */
export function integerHeader(name: string, value: string, max: bigint): bigint {
  const digits = value.trim();
  const number = /^\d{1,20}$/.test(digits) ? BigInt(digits) : -1n;
  if (number < 0n || number > max) {
    throw invalid(name, `must be a number from 0 to ${max}, not '${value.slice(0, 60)}'`);
  }
  return number;
}

/** Returns the text of a header of a message; undefined for tables, arrays and bytes. */
function textOf(value: FieldValue): string | undefined {
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean") {
    return String(value);
  }
  if (value instanceof TypedNumber) return String(value.value);
  if (value instanceof Timestamp) return String(value.seconds);
  return undefined;
}

function invalid(name: string, problem: string): StompError {
  return new StompError("Invalid header", `The header '${name}' ${problem}\n`);
}

/** Whether a header of a message can be a header of a SEND frame. */
export function isSent(name: string, value: FieldValue): boolean {
  return !OF_FRAME.has(name) && !isProperty(name) && textOf(value) !== undefined;
}
