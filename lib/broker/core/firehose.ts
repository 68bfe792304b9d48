/**
 * Copies of published and delivered messages, as RabbitMQ's firehose has them
 * (https://www.rabbitmq.com/firehose.html). A virtual host is traced while something is bound to its trace exchange.
 *
 * Two additions are ours: the headers `mqcat_position` and `mqcat_positions` identify a message in a queue, and while a
 * binding asks for `ack.#`, the outcomes of deliveries are reported, too, with the keys `ack.QUEUE`, `requeue.QUEUE` and
 * `reject.QUEUE`.
 */
import type { EncodedMessage } from "../../amqp/frames/frame_encoder.ts";
import type { BasicProperties } from "../../amqp/properties.ts";
import type { FieldTable } from "../../amqp/types/field_value.ts";
import { textLength } from "../../bytes/text.ts";
import { connectionName } from "./clients/names.ts";
import { addressOf, encodeMessage, type OwnMessage, propertiesOf } from "./message.ts";

/** The exchange that receives the copies. */
export const TRACE = "amq.rabbitmq.trace";

/** How the delivery of a message ended: it was acknowledged, returned to the queue, or rejected. */
export type TracedOutcome = "ack" | "requeue" | "reject";

/** The client that published a message or gets it. */
export interface TracedClient {
  readonly user: string;
  /** Endpoints of both ends. */
  readonly local: string;
  readonly remote: string;
}

/** The headers that describe a client, as RabbitMQ names them. */
export function clientHeaders(client: TracedClient | undefined): FieldTable {
  return client === undefined ? {} : { user: client.user, connection: connectionName(client) };
}

/** The position of a message in a queue, by which its events are recognized. */
export function positionText(lane: number, seq: number): string {
  return lane === 0 ? `${seq}` : `${lane}.${seq}`;
}

/** The longest routing key, in bytes (AMQP 0-9-1, 4.2.5.3). */
const MAX_KEY = 255;
/** The largest properties that are copied, in bytes: with the other headers they must fit a frame. */
const MAX_PROPERTIES = 64 * 1024;

/** Whether a message is a copy for the trace exchange. */
export function isTrace(message: EncodedMessage): boolean {
  return addressOf(message).exchange === TRACE;
}

/**
 * Makes the copy of a message for the trace exchange. Its headers describe the original.
 *
 * @param key `publish.EXCHANGE` or `deliver.QUEUE`
 * @param more headers for this kind of event
 */
export function traceCopy(message: EncodedMessage, key: string, more: FieldTable): OwnMessage {
  const { exchange, routingKey } = addressOf(message);
  const headers: FieldTable = {
    exchange_name: exchange,
    routing_keys: [routingKey],
    properties: describe(message),
    ...more,
  };
  const body = message.body.slice(message.bodyStart, message.bodyEnd);
  return encodeMessage({ exchange: TRACE, routingKey: cut(key) }, { headers }, body);
}

/** Makes the report of an outcome, without the body of the message. @param key `ack.QUEUE` and so on */
export function outcomeReport(key: string, headers: FieldTable): OwnMessage {
  return encodeMessage({ exchange: TRACE, routingKey: cut(key) }, { headers }, new Uint8Array(0));
}

/** The properties of a message, by their names in AMQP; nothing of those that are too large or cannot be decoded. */
function describe(message: EncodedMessage): FieldTable {
  if (message.propertiesEnd - message.propertiesStart > MAX_PROPERTIES) return {};
  const described: FieldTable = {};
  let properties: BasicProperties;
  try {
    properties = propertiesOf(message);
  } catch {
    return {}; // Tracing must not refuse a message that is accepted otherwise.
  }
  for (const [name, value] of Object.entries(properties)) {
    if (value !== undefined) {
      described[name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)] = value;
    }
  }
  return described;
}

/** Shortens a routing key to the longest possible one. */
function cut(key: string): string {
  while (textLength(key) > MAX_KEY) key = key.slice(0, -1);
  return key;
}
