/**
 * The lines of a dump: a header with the definitions, the messages as the records of `-J`, queue by queue in the order
 * of delivery, and an end with their number.
 */
import { Buffer } from "node:buffer";
import type { Restored } from "../../../lib/amqp/dump.ts";
import { encodeProperties } from "../../../lib/amqp/properties.ts";
import { readText } from "../../../lib/bytes/text.ts";
import type { Delivery } from "../../../lib/link/message.ts";
import { contentMembers, propertiesOf, type QueueRecord, textMember } from "../../brokers/records.ts";
import { decodeLine, fromBase64, isDumpLine, parseJson, RecordError, toBase64 } from "../../records/json.ts";
import type { Definitions } from "./definitions.ts";

/** The version of the format. */
const VERSION = 1;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The first line of a dump. */
export interface Header {
  readonly dump: typeof VERSION;
  readonly definitions?: Definitions;
}

/** A message of a dump, with its queue. */
export interface DumpedMessage extends Restored {
  readonly queue: string;
}

/** @param definitions undefined if the broker does not report them */
export function headerLine(definitions: Definitions | undefined): string {
  const header: Header = { dump: VERSION, ...(definitions === undefined ? {} : { definitions }) };
  return `${JSON.stringify(header)}\n`;
}

export function endLine(messages: number): string {
  return `${JSON.stringify({ dump: "end", messages })}\n`;
}

/** The record of a message in a queue. Names and bytes that are not UTF-8 are in base64. */
export function recordLine(delivery: Delivery, queue: string): string {
  const { exchange, routingKey, content: { body, bodyStart, bodyEnd } } = delivery;
  const isPlain = exchange === "" && routingKey === queue;
  const record: QueueRecord = {
    ...bodyMember(body.subarray(bodyStart, bodyEnd)),
    ...(isPlain ? {} : { ...textMember("topic", routingKey), ...textMember("exchange", exchange) }),
    ...textMember("queue", queue),
    ...contentMembers(delivery),
  };
  return `${JSON.stringify(record)}\n`;
}

function bodyMember(bytes: Uint8Array): QueueRecord {
  try {
    return { body: utf8.decode(bytes) };
  } catch {
    return { body_base64: toBase64(bytes) };
  }
}

/** @throws {RecordError} the line is not the header of a dump */
export function parseHeader(line: Uint8Array | undefined): Header {
  const header = line === undefined ? undefined : parse(line) as unknown as Header;
  if (header?.dump === VERSION) return header;
  const what = typeof header?.dump === "number" ? `has the version ${header.dump}` : "is not a dump";
  throw new RecordError(
    `it ${what}: expected the output of 'queue dump' (queue put -J puts other records into a queue)`,
  );
}

/**
 * Parses a line after the header.
 *
 * @returns the number of messages at the end of the dump
 * @throws {RecordError} the line is neither a message nor the end
 */
export function parseLine(line: Uint8Array): DumpedMessage | number {
  const record = parse(line);
  if (isDumpLine(record)) return (record as unknown as { messages: number }).messages;
  const queue = nameOf(record, "queue");
  if (queue === undefined) throw new RecordError("it has no member 'queue'");
  const { properties, encoded } = propertiesOf(record);
  return {
    queue,
    exchange: nameOf(record, "exchange") ?? "",
    routingKey: nameOf(record, "topic") ?? queue,
    properties: encoded ?? encodeProperties(properties),
    body: bodyOf(record),
    redelivered: record.redelivered === true,
  };
}

function parse(line: Uint8Array): QueueRecord {
  const record = parseJson(decodeLine(line));
  if (typeof record === "object" && record !== null && !Array.isArray(record)) return record;
  throw new RecordError("it is not an object");
}

function nameOf(record: QueueRecord, name: "topic" | "exchange" | "queue"): string | undefined {
  const text = record[name];
  if (typeof text === "string") return text;
  const encoded = record[`${name}_base64`];
  if (text !== undefined) throw new RecordError(`'${name}' is not a string`);
  if (encoded === undefined) return undefined;
  const bytes = fromBase64(encoded, `${name}_base64`);
  return readText(bytes, 0, bytes.length);
}

function bodyOf({ body, body_base64: encoded }: QueueRecord): Uint8Array {
  if (typeof body === "string" && encoded === undefined) {
    if (!body.isWellFormed()) throw new RecordError("'body' contains a lone surrogate: use 'body_base64'");
    return Buffer.from(body, "utf8");
  }
  if (body === undefined && encoded !== undefined) return fromBase64(encoded, "body_base64");
  throw new RecordError("it needs one of the members 'body' and 'body_base64'");
}
