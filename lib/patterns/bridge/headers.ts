/** Changes to the encoded headers of messages, which nearly all messages do not need: so they are decoded only if. */
import { Buffer } from "node:buffer";
import { decodeProperties, encodeProperties } from "../../amqp/properties.ts";
import type { FieldTable, FieldValue } from "../../amqp/types/field_value.ts";

/** The flag of headers, in the first byte of encoded properties. */
const HAS_HEADERS = 0x20;
/** The flags of all properties but the delivery mode, in both bytes. */
const NOT_DELIVERY_MODE = 0xeffc;

/** The value of a header; undefined if the message does not have it. */
export function headerOf(properties: Uint8Array, name: string): FieldValue | undefined {
  return mentions(properties, name) ? decodeProperties(properties).headers?.[name] : undefined;
}

/** The properties without some headers. */
export function withoutHeaders(properties: Uint8Array, names: readonly string[]): Uint8Array {
  if (!names.some((name) => mentions(properties, name))) return properties;
  const { headers = {}, ...others } = decodeProperties(properties);
  const kept = Object.entries(headers).filter(([name]) => !names.includes(name));
  if (kept.length === Object.keys(headers).length) return properties;
  return encodeProperties(kept.length === 0 ? others : { ...others, headers: tableOf(kept) });
}

/** The properties with one more header, or another value of it. */
export function withHeader(properties: Uint8Array, name: string, value: string): Uint8Array {
  const decoded = decodeProperties(properties);
  if (decoded.headers?.[name] === value) return properties;
  const entries = Object.entries(decoded.headers ?? {}).filter(([other]) => other !== name);
  return encodeProperties({ ...decoded, headers: tableOf([...entries, [name, value]]) });
}

/** Whether there are headers or properties other than the delivery mode. */
export function hasProperties(properties: Uint8Array): boolean {
  return ((properties[0]! << 8 | properties[1]!) & NOT_DELIVERY_MODE) !== 0;
}

/** Whether the name is anywhere in properties with headers, which avoids decoding nearly all of them. */
function mentions(properties: Uint8Array, name: string): boolean {
  return (properties[0]! & HAS_HEADERS) !== 0 &&
    Buffer.from(properties.buffer, properties.byteOffset, properties.length).includes(name, 0, "latin1");
}

function tableOf(entries: readonly [string, FieldValue][]): FieldTable {
  return Object.assign(Object.create(null), Object.fromEntries(entries));
}
