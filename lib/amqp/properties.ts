import { frameError } from "./amqp_error.ts";
import { Reader } from "./types/codec.ts";
import { checkSeconds, type FieldTable, narrow } from "./types/field_value.ts";
import { readBigUint64, writeBig64 } from "./types/numbers.ts";
import { shortstr, writeShortString } from "./types/scalars.ts";
import { table } from "./types/table.ts";
import { readText } from "../bytes/text.ts";
import { checkUint, writeUint16, writeUint64 } from "./types/uint.ts";

/** The properties of a message, in the order of the wire (AMQP 0-9-1 reference, 1.8; 4.2.6.1). */
export interface BasicProperties {
  /** The MIME type of the body. */
  contentType?: string;
  /** The encoding of the body, for example `gzip`. */
  contentEncoding?: string;
  /** Headers of the application. */
  headers?: FieldTable;
  /** 2 for a persistent message; 1 or undefined for a transient one. */
  deliveryMode?: number;
  /** The priority, 0 to 255; most queues support up to 10. */
  priority?: number;
  /** Identifies the request that a reply belongs to. */
  correlationId?: string;
  /** The queue for the reply. */
  replyTo?: string;
  /** The time to live in milliseconds, as decimal digits. */
  expiration?: string;
  /** Identifies the message. */
  messageId?: string;
  /** The time of the message, in seconds since 1970; a bigint beyond 2^53. */
  timestamp?: number | bigint;
  /** The type of the message, chosen by the application. */
  type?: string;
  /** The user that published the message; brokers check it. */
  userId?: string;
  /** The application that published the message. */
  appId?: string;
  /** Deprecated by AMQP 0-9-1. */
  clusterId?: string;
}

/** The encoded properties of a message without properties. */
export const NO_PROPERTIES: Uint8Array = Uint8Array.of(0, 0);

/** Flags of the properties: the first property has the highest bit, the lowest two bits have no property. */
const FLAG = {
  contentType: 1 << 15,
  contentEncoding: 1 << 14,
  headers: 1 << 13,
  deliveryMode: 1 << 12,
  priority: 1 << 11,
  correlationId: 1 << 10,
  replyTo: 1 << 9,
  expiration: 1 << 8,
  messageId: 1 << 7,
  timestamp: 1 << 6,
  type: 1 << 5,
  userId: 1 << 4,
  appId: 1 << 3,
  clusterId: 1 << 2,
} as const satisfies Record<keyof BasicProperties, number>;

/**
 * Returns the exact size of encoded properties and their flags, in bytes.
 *
 * @throws {RangeError | TypeError} a property does not fit its type
 */
export function sizeofProperties(p: BasicProperties): number {
  let size = 2;
  if (p.contentType !== undefined) size += shortstr.sizeof(p.contentType, "contentType");
  if (p.contentEncoding !== undefined) size += shortstr.sizeof(p.contentEncoding, "contentEncoding");
  if (p.headers !== undefined) size += table.sizeof(p.headers, "headers");
  if (p.deliveryMode !== undefined) size += sizeofOctet(p.deliveryMode, "deliveryMode");
  if (p.priority !== undefined) size += sizeofOctet(p.priority, "priority");
  if (p.correlationId !== undefined) size += shortstr.sizeof(p.correlationId, "correlationId");
  if (p.replyTo !== undefined) size += shortstr.sizeof(p.replyTo, "replyTo");
  if (p.expiration !== undefined) size += shortstr.sizeof(p.expiration, "expiration");
  if (p.messageId !== undefined) size += shortstr.sizeof(p.messageId, "messageId");
  if (p.timestamp !== undefined) {
    checkSeconds(p.timestamp, "timestamp");
    size += 8;
  }
  if (p.type !== undefined) size += shortstr.sizeof(p.type, "type");
  if (p.userId !== undefined) size += shortstr.sizeof(p.userId, "userId");
  if (p.appId !== undefined) size += shortstr.sizeof(p.appId, "appId");
  if (p.clusterId !== undefined) size += shortstr.sizeof(p.clusterId, "clusterId");
  return size;
}

/**
 * Writes flags and properties, the end of a content header.
 *
 * @param p properties that `sizeofProperties` accepted
 * @param target a buffer with room for `sizeofProperties` bytes at `at`
 * @returns the position after the last byte
 */
export function writeProperties(p: BasicProperties, target: Uint8Array, at: number): number {
  const start = at;
  let flags = 0;
  at += 2;
  if (p.contentType !== undefined) {
    flags |= FLAG.contentType;
    at = writeShortString(p.contentType, target, at);
  }
  if (p.contentEncoding !== undefined) {
    flags |= FLAG.contentEncoding;
    at = writeShortString(p.contentEncoding, target, at);
  }
  if (p.headers !== undefined) {
    flags |= FLAG.headers;
    at = table.encode(p.headers, target, at);
  }
  if (p.deliveryMode !== undefined) {
    flags |= FLAG.deliveryMode;
    target[at++] = p.deliveryMode;
  }
  if (p.priority !== undefined) {
    flags |= FLAG.priority;
    target[at++] = p.priority;
  }
  if (p.correlationId !== undefined) {
    flags |= FLAG.correlationId;
    at = writeShortString(p.correlationId, target, at);
  }
  if (p.replyTo !== undefined) {
    flags |= FLAG.replyTo;
    at = writeShortString(p.replyTo, target, at);
  }
  if (p.expiration !== undefined) {
    flags |= FLAG.expiration;
    at = writeShortString(p.expiration, target, at);
  }
  if (p.messageId !== undefined) {
    flags |= FLAG.messageId;
    at = writeShortString(p.messageId, target, at);
  }
  if (p.timestamp !== undefined) {
    flags |= FLAG.timestamp;
    at = writeSeconds(p.timestamp, target, at);
  }
  if (p.type !== undefined) {
    flags |= FLAG.type;
    at = writeShortString(p.type, target, at);
  }
  if (p.userId !== undefined) {
    flags |= FLAG.userId;
    at = writeShortString(p.userId, target, at);
  }
  if (p.appId !== undefined) {
    flags |= FLAG.appId;
    at = writeShortString(p.appId, target, at);
  }
  if (p.clusterId !== undefined) {
    flags |= FLAG.clusterId;
    at = writeShortString(p.clusterId, target, at);
  }
  writeUint16(target, start, flags);
  return at;
}

/**
 * Encodes properties, for example to send many messages with the same properties.
 *
 * @throws {RangeError | TypeError} a property does not fit its type
 */
export function encodeProperties(properties: BasicProperties): Uint8Array {
  const bytes = new Uint8Array(sizeofProperties(properties));
  writeProperties(properties, bytes, 0);
  return bytes;
}

/**
 * Decodes flags and properties up to `end`. The result shares no bytes with the input.
 *
 * @throws {AmqpError} 501: malformed properties
 */
export function decodeProperties(
  bytes: Uint8Array,
  start = 0,
  end: number = bytes.length,
): BasicProperties {
  const reader = new Reader(bytes, start, end);
  const flags = readFlags(reader);
  const p: BasicProperties = {};
  if (flags === 0) {
    endOf(reader);
    return p;
  }
  if ((flags & FLAG.contentType) !== 0) p.contentType = shortstr.decode(reader);
  if ((flags & FLAG.contentEncoding) !== 0) p.contentEncoding = shortstr.decode(reader);
  if ((flags & FLAG.headers) !== 0) p.headers = table.decode(reader);
  if ((flags & FLAG.deliveryMode) !== 0) p.deliveryMode = reader.octet();
  if ((flags & FLAG.priority) !== 0) p.priority = reader.octet();
  if ((flags & FLAG.correlationId) !== 0) p.correlationId = unique(reader);
  if ((flags & FLAG.replyTo) !== 0) p.replyTo = shortstr.decode(reader);
  if ((flags & FLAG.expiration) !== 0) p.expiration = shortstr.decode(reader);
  if ((flags & FLAG.messageId) !== 0) p.messageId = unique(reader);
  if ((flags & FLAG.timestamp) !== 0) p.timestamp = narrow(readBigUint64(bytes, reader.skip(8)));
  if ((flags & FLAG.type) !== 0) p.type = shortstr.decode(reader);
  if ((flags & FLAG.userId) !== 0) p.userId = shortstr.decode(reader);
  if ((flags & FLAG.appId) !== 0) p.appId = shortstr.decode(reader);
  if ((flags & FLAG.clusterId) !== 0) p.clusterId = shortstr.decode(reader);
  endOf(reader);
  return p;
}

/** Decodes text that is rarely repeated, without the cache of names. */
function unique(reader: Reader): string {
  const length = reader.octet();
  const start = reader.skip(length);
  return readText(reader.bytes, start, start + length);
}

function sizeofOctet(value: number, name: string): number {
  checkUint(value, 0xff, name);
  return 1;
}

function writeSeconds(seconds: number | bigint, target: Uint8Array, at: number): number {
  return typeof seconds === "bigint" ? writeBig64(target, at, seconds) : writeUint64(target, at, seconds);
}

/** Reads the flags. The lowest bit announces more flags, but no class has as many properties (4.2.6.1). */
function readFlags(reader: Reader): number {
  const flags = reader.short();
  if ((flags & 1) !== 0) throw frameError("a content header announces properties that do not exist");
  return flags;
}

function endOf(reader: Reader): void {
  if (reader.at !== reader.end) {
    throw frameError(`${reader.end - reader.at} extra bytes after the properties`);
  }
}
