import type { EncodedMessage } from "../../amqp/frames/frame_encoder.ts";
import { type BasicProperties, decodeProperties, encodeProperties } from "../../amqp/properties.ts";
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
