/** Messages for tests of filters. */
import type { FilterMessage } from "../../lib/filter/message.ts";
import { type BasicProperties, encodeProperties } from "../../lib/amqp/properties.ts";
import { utf8 } from "../../lib/zmtp/bytes.ts";

/** The parts of a message; the rest is empty. */
export interface MessageParts {
  readonly topic?: string;
  readonly exchange?: string;
  readonly redelivered?: boolean;
  /** Properties and headers, or their encoded form. */
  readonly properties?: BasicProperties | Uint8Array;
  readonly body?: string | Uint8Array;
}

/** Makes a message, whose parts are in the middle of larger buffers. */
export function filterMessage(
  { topic, exchange, redelivered = false, properties = {}, body = "" }: MessageParts,
): FilterMessage {
  const head = properties instanceof Uint8Array ? properties : encodeProperties(properties);
  const bytes = typeof body === "string" ? utf8(body) : body;
  return {
    topic: () => topic,
    exchange: () => exchange,
    redelivered,
    ...within(head, "properties"),
    ...within(bytes, "body"),
  } as FilterMessage;
}

function within(part: Uint8Array, name: "properties" | "body"): Record<string, unknown> {
  const buffer = new Uint8Array(part.length + 5).fill(0xff);
  buffer.set(part, 2);
  return { [name]: buffer, [`${name}Start`]: 2, [`${name}End`]: 2 + part.length };
}
