/** JSON records: the same for input and output in every pattern (see the table in the README). */
import { Buffer } from "node:buffer";
import { messageOf } from "../../lib/errors.ts";
import { type Batch, MORE } from "../../lib/zmtp/batch.ts";
import { parseRoutingId } from "./routing_id.ts";
import type { Splitter } from "./splitter.ts";

/** A message as JSON. Bytes that are not UTF-8 are in the member with `_base64` after its name. */
export interface JsonRecord {
  topic?: string;
  topic_base64?: string;
  body?: string;
  body_base64?: string;
  parts?: string[];
  parts_base64?: string[];
  endpoint?: string;
  routing_id?: string;
  /** Where the message of a broker was: its exchange, or else its queue. Ignored where messages are sent. */
  exchange?: string;
  exchange_base64?: string;
  queue?: string;
  queue_base64?: string;
  /** The time of arrival, in the format of `timestamp`. */
  time?: string;
}

/** A line of the input is not a valid record. */
export class RecordError extends Error {}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The record of one message.
 *
 * @param hasTopic whether the first of several frames is a topic
 */
export function toRecord(frames: readonly Uint8Array[], hasTopic: boolean, endpoint: string): JsonRecord {
  const record: JsonRecord = {};
  let parts = frames;
  if (hasTopic && frames.length > 1) {
    put(record, "topic", frames[0]!);
    parts = frames.slice(1);
  }
  if (parts.length === 1) put(record, "body", parts[0]!);
  else {
    const texts = parts.map(decode);
    if (texts.every((text) => text !== undefined)) record.parts = texts;
    else record.parts_base64 = parts.map(toBase64);
  }
  record.endpoint = endpoint;
  return record;
}

/** Parses the record of a message for a broker. @returns its frames: the topic, if it has one, and the body */
export function fromRecord(line: string): Uint8Array[] {
  return framesOf(parseRecord(line), {});
}

/** Whether a record is the header or the end of a dump (`queue dump`): it has no message. */
export function isDumpLine(record: JsonRecord & { readonly dump?: unknown }): boolean {
  return record.dump !== undefined && record.body === undefined && record.body_base64 === undefined &&
    record.parts === undefined && record.parts_base64 === undefined;
}

/** Whether the record comes from a broker with queues. */
export function isFromQueue(
  { exchange, exchange_base64: encodedExchange, queue, queue_base64: encodedQueue }: JsonRecord,
): boolean {
  return (exchange ?? encodedExchange ?? queue ?? encodedQueue) !== undefined;
}

/** Whether the record has a topic. In records of mqcat 0.1.0 it is the name of a queue if the exchange is empty. */
export function hasTopic({ topic, topic_base64: encoded, exchange }: JsonRecord): boolean {
  return (topic ?? encoded) !== undefined && exchange !== "";
}

/** Parses JSON, with the same error on all runtimes. @throws {RecordError} it is not JSON */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new RecordError("it is not valid JSON", { cause: error });
  }
}

/** Decodes a line, with the same error on all runtimes. @throws {RecordError} it is not UTF-8 */
export function decodeLine(line: Uint8Array): string {
  try {
    return utf8.decode(line);
  } catch (error) {
    throw new RecordError("it is not valid UTF-8", { cause: error });
  }
}

function parseRecord(line: string): JsonRecord {
  const record = parseJson(line) as JsonRecord;
  if (typeof record !== "object" || record === null || Array.isArray(record)) {
    throw new RecordError('expected an object such as {"body":"text"}');
  }
  return record;
}

function framesOf(record: JsonRecord, { topic, routed = false }: JsonInput): Uint8Array[] {
  const own = hasTopic(record) ? take(record, "topic") : topic;
  const parts = takeParts(record);
  const body = take(record, "body");
  if (parts === undefined && body === undefined) {
    throw new RecordError("it has none of the members body, body_base64, parts and parts_base64");
  }
  if (parts !== undefined && body !== undefined) throw new RecordError("it has both a body and parts");
  const frames = parts ?? [body!];
  if (own !== undefined) frames.unshift(own);
  if (routed) {
    if (typeof record.routing_id !== "string") throw new RecordError("it has no member routing_id");
    frames.unshift(parseRoutingId(record.routing_id));
  }
  return frames;
}

/** The options of a splitter for JSON. */
export interface JsonInput {
  /** The topic of records without one. */
  readonly topic?: Uint8Array | undefined;
  /** Whether each record must have a routing id. */
  readonly routed?: boolean;
  /** Called with each record in order; an error that it throws is reported with the line number. */
  readonly each?: (record: JsonRecord) => void;
  /** The name of the input in error messages. */
  readonly name?: string;
  /** Reports once that headers and properties of messages of queues are dropped. */
  readonly warn?: ((text: string) => void) | undefined;
}

/** A splitter for lines of JSON; its batches have a separate buffer. */
export function jsonSplitter(
  rule: JsonInput,
): Splitter {
  const { each = () => {}, name = "the input" } = rule;
  let number = 0;
  let hasWarned = false;
  let buffer = new Uint8Array(64 * 1024);
  let length = 0;
  const append = (bytes: Uint8Array) => {
    if (length + bytes.length > buffer.length) {
      const grown = new Uint8Array((length + bytes.length) * 2);
      grown.set(buffer.subarray(0, length));
      buffer = grown;
    }
    buffer.set(bytes, length);
    length += bytes.length;
  };
  const add = (bytes: Uint8Array, start: number, end: number, batch: Batch) => {
    number++;
    let frames: Uint8Array[];
    try {
      const line = decodeLine(bytes.subarray(start, end));
      if (line.trim() === "") return;
      const record = parseRecord(line);
      if (isDumpLine(record)) return;
      frames = framesOf(record, rule);
      each(record);
      if (!hasWarned && hasProperties(record)) {
        hasWarned = true;
        rule.warn?.(
          `the headers and properties of messages of queues are not sent, as ZeroMQ has none: line ${number} of ${name} is the first with any`,
        );
      }
    } catch (error) {
      throw new RecordError(`line ${number} of ${name} is not a JSON record: ${messageOf(error)}`);
    }
    frames.forEach((frame, index) => {
      append(frame);
      batch.add(length - frame.length, length, index < frames.length - 1 ? MORE : 0);
    });
    batch.bytes = buffer;
  };
  return eachLine(add, () => length = 0);
}

/** A splitter for lines of JSON that leaves them as they are: one frame each, in the buffer of the input. */
export function recordSplitter(
  { each = () => {}, name = "the input" }: Pick<JsonInput, "each" | "name">,
): Splitter {
  let number = 0;
  return eachLine((bytes, start, end, batch) => {
    number++;
    try {
      const line = decodeLine(bytes.subarray(start, end));
      if (line.trim() === "") return;
      const record = parseRecord(line);
      if (isDumpLine(record)) return;
      each(record);
    } catch (error) {
      throw new RecordError(`line ${number} of ${name} is not a JSON record: ${messageOf(error)}`);
    }
    batch.add(start, end, 0);
  });
}

/** @param begin called before the lines of a batch */
function eachLine(
  add: (bytes: Uint8Array, start: number, end: number, batch: Batch) => void,
  begin: () => void = () => {},
): Splitter {
  return {
    split(bytes, start, searched, end, batch) {
      const filled = bytes.subarray(0, end);
      begin();
      for (;;) {
        const at = filled.indexOf(0x0a, searched);
        if (at < 0) return start;
        add(bytes, start, at, batch);
        start = searched = at + 1;
      }
    },
    finish(bytes, start, end, batch) {
      begin();
      if (start < end) add(bytes, start, end, batch);
    },
  };
}

/** Whether a message of a queue has headers, or properties other than the delivery mode, which concerns the queue. */
function hasProperties(
  { headers, properties, properties_base64: encoded }: JsonRecord & {
    readonly headers?: unknown;
    readonly properties?: unknown;
    readonly properties_base64?: unknown;
  },
): boolean {
  const names = (value: unknown) => typeof value === "object" && value !== null ? Object.keys(value) : [];
  return encoded !== undefined || names(headers).length > 0 ||
    names(properties).some((name) => name !== "delivery_mode");
}

function put(record: JsonRecord, name: "topic" | "body", bytes: Uint8Array): void {
  const text = decode(bytes);
  if (text === undefined) record[`${name}_base64`] = toBase64(bytes);
  else record[name] = text;
}

function take(record: JsonRecord, name: "topic" | "body"): Uint8Array | undefined {
  const text = record[name];
  const encoded = record[`${name}_base64`];
  if (text !== undefined && encoded !== undefined) {
    throw new RecordError(`it has both '${name}' and '${name}_base64'`);
  }
  if (text !== undefined) return toUtf8(text, name);
  return encoded === undefined ? undefined : fromBase64(encoded, `${name}_base64`);
}

function takeParts(record: JsonRecord): Uint8Array[] | undefined {
  if (record.parts !== undefined && record.parts_base64 !== undefined) {
    throw new RecordError("it has both 'parts' and 'parts_base64'");
  }
  const name = record.parts !== undefined ? "parts" : "parts_base64";
  const parts = record[name];
  if (parts === undefined) return undefined;
  if (!Array.isArray(parts) || parts.length === 0) {
    throw new RecordError(`'${name}' is not a list of one string or more`);
  }
  return parts.map((part) => name === "parts" ? toUtf8(part, name) : fromBase64(part, name));
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

function toUtf8(text: unknown, name: string): Uint8Array {
  if (typeof text !== "string") throw new RecordError(`'${name}' is not a string`);
  // A lone surrogate has no form in UTF-8; the encoder would replace it.
  if (!text.isWellFormed()) {
    throw new RecordError(
      `'${name}' contains a lone surrogate, which is not text: use '${name}_base64' for bytes`,
    );
  }
  return Buffer.from(text, "utf8");
}

export function fromBase64(text: unknown, name: string): Uint8Array {
  if (typeof text !== "string") throw new RecordError(`'${name}' is not a string`);
  const bytes = Buffer.from(text, "base64");
  // Buffer ignores characters that are not base64; a record must not lose bytes silently.
  if (bytes.toString("base64").replace(/=+$/, "") !== text.replace(/=+$/, "")) {
    throw new RecordError(`'${name}' is not base64`);
  }
  return bytes;
}

export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
}
