import type { EncodedMessage } from "../../amqp/frames/frame_encoder.ts";
import { type BasicProperties, decodeProperties, encodeProperties } from "../../amqp/properties.ts";
import type { PropertyScan } from "../../amqp/property_scan.ts";
import { Reader } from "../../amqp/types/codec.ts";
import { shortstr } from "../../amqp/types/scalars.ts";

/** A message that owns its bytes and stays valid, unlike one that refers to a shared buffer. */
export interface OwnMessage extends EncodedMessage {
  readonly routeStart: 0;
  readonly bodyStart: 0;
}

/** Copies a message out of a shared buffer. */
export function copyMessage(message: EncodedMessage): OwnMessage {
  const { head, routeStart, propertiesStart, propertiesEnd, body, bodyStart, bodyEnd } = message;
  return {
    head: head.slice(routeStart, propertiesEnd),
    routeStart: 0,
    propertiesStart: propertiesStart - routeStart,
    propertiesEnd: propertiesEnd - routeStart,
    body: body.slice(bodyStart, bodyEnd),
    bodyStart: 0,
    bodyEnd: bodyEnd - bodyStart,
  };
}

/** The exchange and the routing key that a message was published with. */
export interface MessageAddress {
  readonly exchange: string;
  readonly routingKey: string;
}

/** Reads the address of a message. */
export function addressOf({ head, routeStart, propertiesStart }: EncodedMessage): MessageAddress {
  const reader = new Reader(head, routeStart, propertiesStart);
  return { exchange: shortstr.decode(reader), routingKey: shortstr.decode(reader) };
}

/** Decodes the properties of a message. */
export function propertiesOf({ head, propertiesStart, propertiesEnd }: EncodedMessage): BasicProperties {
  return decodeProperties(head, propertiesStart, propertiesEnd);
}

/** Encodes a message with a new address and new properties. The body is not copied. */
export function encodeMessage(
  { exchange, routingKey }: MessageAddress,
  properties: BasicProperties,
  body: Uint8Array,
): OwnMessage {
  const encoded = encodeProperties(properties);
  const routeLength = shortstr.sizeof(exchange, "exchange") + shortstr.sizeof(routingKey, "routingKey");
  const head = new Uint8Array(routeLength + encoded.length);
  shortstr.encode(routingKey, head, shortstr.encode(exchange, head, 0));
  head.set(encoded, routeLength);
  return {
    head,
    routeStart: 0,
    propertiesStart: routeLength,
    propertiesEnd: head.length,
    body,
    bodyStart: 0,
    bodyEnd: body.length,
  };
}

/** Copies a message without one of its headers. */
export function withoutHeader(message: EncodedMessage, name: string): OwnMessage {
  const properties = propertiesOf(message);
  const { [name]: _, ...headers } = properties.headers ?? {};
  const body = message.body.subarray(message.bodyStart, message.bodyEnd);
  return encodeMessage(addressOf(message), { ...properties, headers }, body);
}

/**
 * Copies a message to the address of a queue. Only `CC` and `BCC` are removed from its headers: they are for an exchange.
 *
 * @param scan is used for this message; a new one for each would cost more than the rest
 */
export function movedTo(queue: string, message: EncodedMessage, scan: PropertyScan): OwnMessage {
  const { head, propertiesStart, propertiesEnd } = message;
  scan.read(head, propertiesStart, propertiesEnd);
  const encoded = head.subarray(propertiesStart, propertiesEnd);
  return inQueue(queue, scan.headersMention("CC") ? withoutCopies(encoded) : encoded, message);
}

/** Copies a message to the address of a queue, with these encoded properties. */
export function inQueue(queue: string, properties: Uint8Array, message: EncodedMessage): OwnMessage {
  const { body, bodyStart, bodyEnd } = message;
  const routeLength = 1 + shortstr.sizeof(queue, "queue");
  const moved = new Uint8Array(routeLength + properties.length);
  shortstr.encode(queue, moved, 1); // After the empty name of the default exchange.
  moved.set(properties, routeLength);
  return {
    head: moved,
    routeStart: 0,
    propertiesStart: routeLength,
    propertiesEnd: moved.length,
    body: body.slice(bodyStart, bodyEnd),
    bodyStart: 0,
    bodyEnd: bodyEnd - bodyStart,
  };
}

function withoutCopies(encoded: Uint8Array): Uint8Array {
  const { headers = {}, ...others } = decodeProperties(encoded);
  const { CC: _, BCC: __, ...kept } = headers;
  return encodeProperties(Object.keys(kept).length === 0 ? others : { ...others, headers: kept });
}
