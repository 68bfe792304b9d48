/** Encodes and decodes the bodies of commands (RFC 37, 2.4 to 2.6). */
import { ProtocolError } from "../errors.ts";
import { concat, text, utf8 } from "./bytes.ts";
import { encodeCommand, encodeFrame } from "./frame_encoder.ts";

/** A received command: its name, and its data as a view. */
export interface ZmtpCommand {
  readonly name: string;
  readonly data: Uint8Array;
}

/** libzmq multiplies the time to live by 100 in 16 bits: larger values overflow there. In tenths of a second. */
const MAX_TTL = 655;
/** The limit for a command's name, in bytes. No specified command has a longer one. */
const MAX_NAME = 32;

/**
 * Splits a command into its name and its data.
 *
 * @throws {ProtocolError} the name is missing or truncated
 */
export function parseCommand(body: Uint8Array): ZmtpCommand {
  const length = body[0] ?? 0;
  if (length === 0 || length > MAX_NAME || 1 + length > body.length) {
    throw new ProtocolError("The peer sent a command without a valid name");
  }
  return { name: text(body.subarray(1, 1 + length)), data: body.subarray(1 + length) };
}

/** Encodes metadata: `nameLen name BE32(valueLen) value` for each property (RFC 37, 2.5). */
export function encodeMetadata(
  properties: readonly (readonly [name: string, value: Uint8Array])[],
): Uint8Array {
  return concat(properties.flatMap(([name, value]) => {
    const head = new Uint8Array(1 + name.length + 4);
    head[0] = name.length;
    head.set(utf8(name), 1);
    new DataView(head.buffer).setUint32(1 + name.length, value.length);
    return [head, value];
  }));
}

/**
 * Decodes metadata. The keys are in lower case, because names are case-insensitive (RFC 37, 2.5).
 *
 * @throws {ProtocolError} a property is truncated, or bytes remain after the last one
 */
export function parseMetadata(data: Uint8Array): Map<string, Uint8Array> {
  const properties = new Map<string, Uint8Array>();
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  for (let at = 0; at < data.length;) {
    const nameLength = data[at]!;
    const value = at + 1 + nameLength + 4;
    if (nameLength === 0 || value > data.length) {
      throw new ProtocolError("The peer's metadata is truncated or malformed");
    }
    const end = value + view.getUint32(value - 4);
    if (end > data.length) throw new ProtocolError("The peer's metadata is truncated or malformed");
    properties.set(text(data.subarray(at + 1, value - 4)).toLowerCase(), data.slice(value, end));
    at = end;
  }
  return properties;
}

/** Encodes an ERROR command. The reason is truncated to 255 bytes. */
export function encodeError(reason: string): Uint8Array {
  const bytes = utf8(reason).subarray(0, 255);
  return encodeCommand("ERROR", concat([Uint8Array.of(bytes.length), bytes]));
}

/** Decodes the reason from the data of an ERROR command. */
export function parseError(data: Uint8Array): string {
  return text(data.subarray(1, 1 + (data[0] ?? 0))) || "no reason given";
}

/**
 * Encodes a PING without a context (RFC 37, 2.6).
 *
 * @param ttl the time to live, in milliseconds; rounded up to tenths of a second, and limited to 65.5 s
 */
export function encodePing(ttl: number): Uint8Array {
  const tenths = Math.min(MAX_TTL, Math.ceil(ttl / 100));
  return encodeCommand("PING", Uint8Array.of(tenths >> 8, tenths & 255));
}

/** The time to live in the data of a PING: how long its sender may be silent, in milliseconds; 0 means no limit. */
export function pingTtl(ping: Uint8Array): number {
  return ping.length < 2 ? 0 : (ping[0]! * 256 + ping[1]!) * 100;
}

/**
 * Encodes the PONG that answers a PING: it repeats the context, not the time to live (RFC 37, 2.6).
 *
 * @param ping the data of the PING
 * @throws {ProtocolError} the PING has no time to live
 */
export function encodePong(ping: Uint8Array): Uint8Array {
  if (ping.length < 2) throw new ProtocolError("The peer sent a PING without a time to live");
  return encodeCommand("PONG", ping.subarray(2, 2 + 16));
}

/** Encodes a subscription or its cancellation in the form of the peer's ZMTP version (RFC 37, 2.7; RFC 23). */
export function encodeSubscription(topic: Uint8Array, subscribe: boolean, version: string): Uint8Array {
  if (version === "3.1") return encodeCommand(subscribe ? "SUBSCRIBE" : "CANCEL", topic);
  return encodeFrame(concat([Uint8Array.of(subscribe ? 1 : 0), topic]));
}

/** Encodes a JOIN or a LEAVE command (RFC 48). */
export function encodeGroup(group: Uint8Array, join: boolean): Uint8Array {
  return encodeCommand(join ? "JOIN" : "LEAVE", group);
}
