/** RabbitMQ's streams, from which messages are read and not taken. */
import { AmqpError } from "../../lib/amqp/amqp_error.ts";
import type { Delivery } from "../../lib/amqp/client/channel.ts";
import { queueArguments } from "../../lib/amqp/client/queues.ts";
import { decodeProperties } from "../../lib/amqp/properties.ts";
import { type FieldTable, type FieldValue, Timestamp } from "../../lib/amqp/types/field_value.ts";
import { type Target, withConnection } from "./target.ts";

const OFFSET = "x-stream-offset";

/** Where to begin in a stream, `--offset`: a word, the number of a message, or a time. */
export function parseOffset(value: string): FieldValue {
  if (/^(first|last|next)$/.test(value)) return value;
  if (/^\d{1,18}$/.test(value)) return BigInt(value);
  const time = Date.parse(value);
  if (!/^\d{4}-\d\d-\d\d/.test(value) || Number.isNaN(time)) {
    throw new Error("expected first, last, next, a number, or a time such as 2026-11-25T08:00:00Z");
  }
  return new Timestamp(Math.floor(time / 1000));
}

/** Arguments of a consumer that begins at an offset. */
export function fromOffset(offset: FieldValue): FieldTable {
  return { [OFFSET]: offset };
}

/** The number of a message in its stream; undefined when it did not come from one. */
export function offsetOf({ content: { properties, propertiesEnd } }: Delivery): bigint | undefined {
  const offset = decodeProperties(properties, 0, propertiesEnd).headers?.[OFFSET];
  return typeof offset === "bigint" || typeof offset === "number" ? BigInt(offset) : undefined;
}

/** After so many milliseconds without a message from a queue that has some it is asked whether it is a stream. */
export const SUSPICION_MS = 100;

/** Asks the broker whether a queue is a stream, which is told by how it was declared. */
export async function isStream(target: Target, queue: string): Promise<boolean> {
  let type: FieldValue | undefined;
  await withConnection(target, async (connection) => {
    type = (await queueArguments(connection, queue))?.["x-queue-type"];
  });
  return type === "stream";
}

/**
 * Makes sure that a queue from which nothing came is no stream, whose messages cannot be taken out.
 *
 * @throws {Error} it is one
 */
export async function refuseStream(target: Target, queue: string, what: "peek" | "move"): Promise<void> {
  if (!await isStream(target, queue)) return;
  const remedy = what === "peek"
    ? `mqcat queue get ${queue} --offset first -n 10 shows some, and they stay`
    : `mqcat queue get ${queue} --offset first -w 1s -J | mqcat queue put OTHER -J copies them`;
  throw new Error(`'${queue}' is a stream, whose messages are read and not taken: ${remedy}`);
}

/** RabbitMQ refuses an offset for queues of other kinds. */
export function explainOffset(queue: string, error: unknown): unknown {
  if (!(error instanceof AmqpError) || !error.replyText.includes(OFFSET)) return error;
  return notAStream(queue, error);
}

export function notAStream(queue: string, cause?: Error): Error {
  return new Error(`--offset is for streams, and '${queue}' is none`, { cause });
}
