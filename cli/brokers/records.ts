/** Messages of brokers as JSON records (the same records as for all patterns), as lines, or by a template. */
import { Buffer } from "node:buffer";
import type { Delivery, Envelope } from "../../lib/link/message.ts";
import { type FieldValue, TypedNumber } from "../../lib/amqp/types/field_value.ts";
import { readText } from "../../lib/bytes/text.ts";
import { copyBytes } from "../../lib/bytes/frame_buffer.ts";
import { type BasicProperties, decodeProperties, encodeProperties } from "../../lib/amqp/properties.ts";
import { messageOf } from "../../lib/errors.ts";
import { byteLength, utf8 } from "../../lib/zmtp/bytes.ts";
import type { Output } from "../io/output.ts";
import { bigEndian, compileFormat } from "../records/format.ts";
import {
  decodeLine,
  fromBase64,
  fromRecord,
  hasTopic,
  isFromQueue,
  type JsonRecord,
  RecordError,
  toBase64,
  toRecord,
} from "../records/json.ts";
import { timestamp } from "../records/time.ts";
import { visible, visibleJson } from "../records/visible.ts";
import type { RecordStyle } from "../records/writer.ts";
import { bytesOfText, type FieldJson, fromJson, tableFromJson, tableToJson, textToJson } from "./values.ts";

/** The names of properties for users, which are RabbitMQ's names. */
const NAMES = {
  content_type: "contentType",
  content_encoding: "contentEncoding",
  delivery_mode: "deliveryMode",
  priority: "priority",
  correlation_id: "correlationId",
  reply_to: "replyTo",
  expiration: "expiration",
  message_id: "messageId",
  timestamp: "timestamp",
  type: "type",
  user_id: "userId",
  app_id: "appId",
  cluster_id: "clusterId",
} as const;

type Name = keyof typeof NAMES;

/** The record of a message, with the members that only queues have. */
export interface QueueRecord extends JsonRecord {
  headers?: { [name: string]: FieldJson };
  properties?: { [name: string]: FieldJson };
  /** The encoded properties and headers of a message that the two members above do not hold exactly. */
  properties_base64?: string;
  redelivered?: boolean;
}

/** A message to put. */
export interface PutRecord {
  readonly body: Uint8Array;
  /** The topic of the record, if it has one. */
  readonly topic: string | undefined;
  /** Whether the record comes from a queue, so that no default properties are added. */
  readonly fromQueue: boolean;
  readonly properties: BasicProperties;
  /** The encoded form of `properties`, if `properties` cannot hold all of it. */
  readonly encoded: Uint8Array | undefined;
}

/** @throws {RecordError} the line is not a record, or does not fit a message of a queue */
export function parseRecord(line: Uint8Array): PutRecord {
  const text = decodeLine(line);
  const frames = fromRecord(text);
  const record = JSON.parse(text) as QueueRecord;
  const isKeyed = hasTopic(record);
  if (frames.length > (isKeyed ? 2 : 1)) {
    throw new RecordError("it has several parts, but a message of a queue has one body");
  }
  return {
    body: frames.at(-1)!,
    topic: isKeyed ? readText(frames[0]!, 0, frames[0]!.length) : undefined,
    fromQueue: isFromQueue(record),
    ...propertiesOf(record),
  };
}

/** The properties of a record. @throws {RecordError} they do not fit a message of a queue */
export function propertiesOf(record: QueueRecord): Pick<PutRecord, "properties" | "encoded"> {
  const properties = propertiesFromJson(record.properties ?? {});
  if (record.headers !== undefined) properties.headers = tableFromJson(record.headers);
  return { properties, encoded: encodedOf(record, properties) };
}

/** The bytes of `properties_base64`. @throws {RecordError} they differ from the other members */
function encodedOf(record: QueueRecord, properties: BasicProperties): Uint8Array | undefined {
  const text = record.properties_base64;
  if (text === undefined) return undefined;
  const bytes = fromBase64(text, "properties_base64");
  let same: boolean;
  try {
    const { headers, properties: others } = propertyMembers(decodeProperties(bytes));
    const back = propertiesFromJson(others ?? {});
    if (headers !== undefined) back.headers = tableFromJson(headers);
    same = Buffer.compare(encodeProperties(back), encodeProperties(properties)) === 0;
  } catch (error) {
    throw new RecordError(`'properties_base64' is not the properties of a message: ${messageOf(error)}`);
  }
  if (!same) {
    throw new RecordError(
      "'properties_base64' differs from 'headers' and 'properties': remove it, or both of them",
    );
  }
  return bytes;
}

/** Parses the value of `--property`, such as `content_type: text/plain`. */
export function parseProperty(text: string): [name: keyof BasicProperties, value: string | number] {
  const match = /^([a-z_]+)\s*[:=]\s*([^]*)$/.exec(text);
  const name = match === null ? undefined : NAMES[match[1] as Name];
  if (name === undefined) {
    throw new Error(`expected 'name: value' with one of the names ${Object.keys(NAMES).join(", ")}`);
  }
  const isNumber = name === "deliveryMode" || name === "priority" || name === "timestamp";
  if (isNumber && !/^\d+$/.test(match![2]!)) throw new Error(`${match![1]} is a whole number`);
  const value = isNumber ? Number(match![2]) : match![2]!;
  encodeProperties({ [name]: value });
  return [name, value];
}

/** Writes received messages to an output. */
export type QueueWriter = (delivery: Delivery, endpoint: string) => void;

/** @throws {Error} the template is invalid */
export function queueWriter(output: Output, style: RecordStyle): QueueWriter {
  if (style.stats !== undefined) {
    const { counts } = style.stats;
    return ({ routingKey, content: { bodyStart, bodyEnd } }) => counts.count(routingKey, bodyEnd - bodyStart);
  }
  if (style.format !== undefined) return templateWriter(output, style.format, style.escaped ?? false);
  if (style.framing === "json") {
    return (delivery, endpoint) => output.append(lineOf(delivery, endpoint, style));
  }
  const end = { lines: 0x0a, null: 0, blob: undefined, u32: undefined }[style.framing];
  const isPlain = style.framing !== "u32" && !style.escaped && style.separator === undefined;
  if (!isPlain) return shownWriter(output, style, end);
  return ({ content: { body, bodyStart, bodyEnd } }) => {
    output.reserve(bodyEnd - bodyStart + 1);
    output.length = copyBytes(body, bodyStart, bodyEnd, output.bytes, output.length);
    if (end !== undefined) output.bytes[output.length++] = end;
  };
}

function lineOf(delivery: Delivery, endpoint: string, { escaped, timestamps }: RecordStyle): Uint8Array {
  const record = recordOf(delivery, endpoint);
  const json = JSON.stringify(timestamps ? { ...record, time: timestamp() } : record);
  return utf8(`${escaped ? visibleJson(json) : json}\n`);
}

/** Writes messages with their topics, their lengths, or escaped for a terminal. */
function shownWriter(output: Output, style: RecordStyle, end: number | undefined): QueueWriter {
  const { framing, separator } = style;
  const shown = style.escaped ? visible : (bytes: Uint8Array) => bytes;
  return ({ routingKey, content: { body, bodyStart, bodyEnd } }) => {
    const parts = [shown(body.subarray(bodyStart, bodyEnd))];
    if (separator !== undefined) parts.unshift(shown(bytesOfText(routingKey)), separator);
    if (framing === "u32") output.append(bigEndian(byteLength(parts)));
    for (const part of parts) output.append(part);
    if (end !== undefined) output.append(Uint8Array.of(end));
  };
}

function recordOf(delivery: Delivery, endpoint: string): QueueRecord {
  const { exchange, routingKey, content: { body, bodyStart, bodyEnd } } = delivery;
  return {
    ...toRecord([body.subarray(bodyStart, bodyEnd)], false, endpoint),
    ...placeOf(exchange, routingKey, endpoint),
    ...contentMembers(delivery),
  };
}

/** The properties of a message, and whether it was delivered before. */
export function contentMembers({ redelivered, content }: Delivery): QueueRecord {
  const raw = content.properties.subarray(0, content.propertiesEnd);
  const decoded = decodeProperties(raw);
  return {
    ...propertyMembers(decoded),
    ...(isExact(decoded, raw) ? {} : { properties_base64: toBase64(raw) }),
    ...(redelivered ? { redelivered } : {}),
  };
}

/** Whether JSON holds all bytes of the properties: it has one NaN, and no two members of one name in a table. */
function isExact(decoded: BasicProperties, raw: Uint8Array): boolean {
  if (decoded.headers !== undefined && hasNaN(decoded.headers)) return false;
  return Buffer.compare(encodeProperties(decoded), raw) === 0;
}

function hasNaN(value: FieldValue): boolean {
  if (typeof value === "number" || value instanceof TypedNumber) {
    return Number.isNaN(Number(typeof value === "number" ? value : value.value));
  }
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return false;
  return Object.values(value).some(hasNaN);
}

/** The systems where a message without an exchange is in a queue, which the routing key names. */
const HAS_QUEUES = /^(amqps?|stomps?|inproc):/;

/** The topic of a message, and where it was. The name of a queue is no topic. */
function placeOf(exchange: string, routingKey: string, endpoint: string): QueueRecord {
  if (exchange !== "") return { ...textMember("topic", routingKey), ...textMember("exchange", exchange) };
  if (HAS_QUEUES.test(endpoint)) return textMember("queue", routingKey);
  return routingKey === "" ? {} : textMember("topic", routingKey);
}

/** A name as a member of a record. */
export function textMember(name: "topic" | "exchange" | "queue", text: string): QueueRecord {
  return text.isWellFormed() ? { [name]: text } : { [`${name}_base64`]: toBase64(bytesOfText(text)) };
}

function propertyMembers(decoded: BasicProperties): Pick<QueueRecord, "headers" | "properties"> {
  const json = propertiesToJson(decoded);
  return {
    ...(decoded.headers === undefined ? {} : { headers: tableToJson(decoded.headers) }),
    ...(Object.keys(json).length === 0 ? {} : { properties: json }),
  };
}

function propertiesToJson(properties: BasicProperties): { [name: string]: FieldJson } {
  const json: { [name: string]: FieldJson } = {};
  for (const [name, key] of Object.entries(NAMES)) {
    const value = properties[key];
    if (typeof value === "bigint") json[name] = String(value);
    else if (value !== undefined) json[name] = typeof value === "string" ? textToJson(value) : value;
  }
  return json;
}

function propertiesFromJson(json: { [name: string]: FieldJson }): BasicProperties {
  const properties: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(json)) {
    const key = NAMES[name as Name];
    if (key === undefined) {
      throw new RecordError(
        `there is no property '${name}': expected one of ${Object.keys(NAMES).join(", ")}`,
      );
    }
    properties[key] = key === "timestamp" && typeof value === "string" ? BigInt(value) : fromJson(value);
  }
  try {
    encodeProperties(properties);
  } catch (error) {
    throw new RecordError(messageOf(error));
  }
  return properties as BasicProperties;
}

/** Compiles a template with kcat's tokens, including `%h`: `name=value,name=value`. */
function templateWriter(output: Output, template: string, escaped: boolean): QueueWriter {
  const append = (bytes: Uint8Array) => output.append(bytes);
  const shown = escaped ? visible : (bytes: Uint8Array) => bytes;
  /** The template between its `%h` tokens. */
  const parts = splitAtHeaders(template).map((part) => compileFormat(part, shown));
  let sequence = 0;
  return ({ routingKey, exchange, content }, endpoint) => {
    const { properties, propertiesEnd, body, bodyStart, bodyEnd } = content;
    const frames = [bytesOfText(routingKey), body.subarray(bodyStart, bodyEnd)];
    const input = { frames, topicFrames: 1, sequence: ++sequence, endpoint: exchange || endpoint };
    parts.forEach((steps, at) => {
      if (at > 0) append(shown(utf8(headerText(decodeProperties(properties, 0, propertiesEnd)))));
      for (const step of steps) step(input, append);
    });
  };
}

function splitAtHeaders(template: string): string[] {
  const parts = [""];
  for (const [piece] of template.matchAll(/%[^]?|[^%]+/g)) {
    if (piece === "%h") parts.push("");
    else parts[parts.length - 1] += piece;
  }
  return parts;
}

function headerText({ headers }: BasicProperties): string {
  if (headers === undefined) return "";
  return Object.entries(tableToJson(headers))
    .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(",");
}

/** The defaults for all messages of a command; a record overrides them. */
export interface Defaults {
  /** The exchange that all messages go to. */
  readonly exchange: string;
  /** The queue that all messages go to, whatever the topic of a record is. */
  readonly queue?: string | undefined;
  /** The topic of records without one. */
  readonly topic?: string | undefined;
  readonly properties: BasicProperties;
}

/** The envelope of a record. For a queue, the topic of a record from another pattern is sent as a header. */
export function envelopeOf(record: PutRecord, defaults: Defaults): Envelope {
  const { topic, fromQueue, properties, encoded } = record;
  const { exchange, queue } = defaults;
  const routingKey = queue ?? topic ?? defaults.topic ?? "";
  if (encoded !== undefined) {
    if (!fromQueue || defaults.properties.headers !== undefined) {
      throw new RecordError(
        "'properties_base64' cannot be combined with other headers: remove it, or the option",
      );
    }
    return { exchange, routingKey, properties: encoded };
  }
  const merged: BasicProperties = fromQueue ? { ...properties } : { ...defaults.properties, ...properties };
  const headers = { ...defaults.properties.headers, ...properties.headers };
  if (queue !== undefined && !fromQueue && topic !== undefined) headers["x-topic"] ??= topic;
  if (Object.keys(headers).length > 0) merged.headers = headers;
  return { exchange, routingKey, properties: encodeProperties(merged) };
}
