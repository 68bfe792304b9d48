/** RabbitMQ's streams, from which messages are read but not removed. */
import { AmqpError } from "../../lib/amqp/amqp_error.ts";
import type { Delivery } from "../../lib/amqp/client/channel.ts";
import { queueArguments } from "../../lib/amqp/client/queues.ts";
import { decodeProperties } from "../../lib/amqp/properties.ts";
import { type FieldTable, type FieldValue, Timestamp } from "../../lib/amqp/types/field_value.ts";
import { messageOf } from "../../lib/errors.ts";
import { UsageError } from "../app/errors.ts";
import { type BrokerTarget, withConnection } from "./target.ts";

const OFFSET = "x-stream-offset";

/** The start in a stream that `--offset` names. @throws {UsageError} it is not an offset */
export function startOf(offset: string | undefined): FieldValue | undefined {
  if (offset === undefined) return undefined;
  try {
    return parseOffset(offset);
  } catch (error) {
    throw new UsageError(`--offset '${offset}': ${messageOf(error)}`);
  }
}

/** Parses a word, the number of a message, or a time. */
function parseOffset(value: string): FieldValue {
  if (/^(first|last|next)$/.test(value)) return value;
  if (/^\d{1,18}$/.test(value)) return BigInt(value);
  const time = Date.parse(value);
  if (!/^\d{4}-\d\d-\d\d/.test(value) || Number.isNaN(time)) {
    throw new Error("expected first, last, next, a number, or a time such as 2026-11-25T08:00:00Z");
  }
  return new Timestamp(Math.floor(time / 1000));
}

/** The arguments of a consumer that starts at an offset. */
export function fromOffset(offset: FieldValue): FieldTable {
  return { [OFFSET]: offset };
}

/** The offset of a message in its stream; undefined when the message does not come from a stream. */
export function offsetOf({ content: { properties, propertiesEnd } }: Delivery): bigint | undefined {
  const offset = decodeProperties(properties, 0, propertiesEnd).headers?.[OFFSET];
  return typeof offset === "bigint" || typeof offset === "number" ? BigInt(offset) : undefined;
}

/** The time without a message from a non-empty queue after which it may be a stream, in milliseconds. */
export const SUSPICION_MS = 100;

/** Asks the broker whether a queue is a stream, by declaring it as one. */
export async function isStream(target: BrokerTarget, queue: string): Promise<boolean> {
  let type: FieldValue | undefined;
  await withConnection(target, async (connection) => {
    type = (await queueArguments(connection, queue))?.["x-queue-type"];
  });
  return type === "stream";
}

/** The error of a command that would remove messages from a stream. */
export function keepsMessages(queue: string): Error {
  return new Error(
    `'${queue}' is a stream, whose messages can be read but not removed: ` +
      `mqcat queue get ${queue} --offset first -w 1s -J | mqcat queue put OTHER -J copies them`,
  );
}

/** RabbitMQ refuses an offset for queues of other types. */
export function explainOffset(queue: string, error: unknown): unknown {
  if (!(error instanceof AmqpError) || !error.replyText.includes(OFFSET)) return error;
  return notAStream(queue, error);
}

export function notAStream(queue: string, cause?: Error): Error {
  return new Error(`--offset is for streams, and '${queue}' is not a stream`, { cause });
}
