import type { EncodedMessage } from "../../amqp/frames/frame_encoder.ts";
import type { BasicProperties } from "../../amqp/properties.ts";
import { type FieldTable, type FieldValue, integerOf, Timestamp } from "../../amqp/types/field_value.ts";
import { addressOf, encodeMessage, type MessageAddress, type OwnMessage, propertiesOf } from "./message.ts";
import type { DeathReason, Queue } from "./queue/queue.ts";

/** One entry of the header `x-death`: the deaths of a message in one queue for one reason. */
type Death = FieldTable;

/**
 * Makes the message that is published to the dead-letter exchange of `queue`. It has the headers `x-death` and
 * `x-first-death-*` as in RabbitMQ (https://www.rabbitmq.com/dlx.html), the dead-letter routing key, and no expiration.
 *
 * @param now seconds since 1970
 */
export function deadLetter(
  queue: Queue,
  message: EncodedMessage,
  reason: DeathReason,
  now: number,
): OwnMessage & { readonly address: MessageAddress; readonly cycles: ReadonlySet<string> } {
  const origin = addressOf(message);
  const { deadLetterExchange, deadLetterRoutingKey } = queue.settings;
  const properties = propertiesOf(message);
  const headers: FieldTable = { ...properties.headers };
  const carbonCopies = ["CC", "BCC"].flatMap((name) => listOf(headers[name]));
  const keys = [origin.routingKey, ...carbonCopies.filter((key): key is string => typeof key === "string")];
  // The copies were routed at the publish; a dead-letter routing key replaces these keys (RabbitMQ, dlx.html).
  if (deadLetterRoutingKey !== undefined) delete headers["CC"];
  delete headers["BCC"];

  const deaths = listOf(headers["x-death"]).filter(isTable);
  const known = deaths.find((death) => death["queue"] === queue.name && death["reason"] === reason);
  // A second death in the queue for the same reason only increments the count of the first entry.
  const death: Death = known !== undefined
    ? { ...known, count: BigInt((integerOf(known["count"]) ?? 0) + 1) }
    : {
      count: 1n,
      reason,
      queue: queue.name,
      time: new Timestamp(now),
      exchange: origin.exchange,
      "routing-keys": keys,
      ...(properties.expiration === undefined ? {} : { "original-expiration": properties.expiration }),
    };
  const all = [death, ...deaths.filter((other) => other !== known)];
  const isFirst = headers["x-death"] === undefined;
  headers["x-death"] = all;
  if (isFirst) {
    headers["x-first-death-reason"] = reason;
    headers["x-first-death-queue"] = queue.name;
    headers["x-first-death-exchange"] = origin.exchange;
  }
  const address = { exchange: deadLetterExchange!, routingKey: deadLetterRoutingKey ?? origin.routingKey };
  const { expiration: _, ...kept } = properties;
  const body = message.body.slice(message.bodyStart, message.bodyEnd);
  const dead = encodeMessage(address, { ...kept, headers } as BasicProperties, body);
  return { ...dead, address, cycles: reason === "rejected" ? NO_QUEUES : cyclesOf(all) };
}

const NO_QUEUES: ReadonlySet<string> = new Set();

/**
 * Finds the queues that the message must not enter again: it died there before, and it was not rejected by a consumer
 * since, so it would cycle forever.
 *
 * @param deaths latest first
 */
function cyclesOf(deaths: readonly Death[]): ReadonlySet<string> {
  const queues = new Set<string>();
  for (const { reason, queue } of deaths) {
    if (reason === "rejected") break;
    queues.add(String(queue));
  }
  return queues;
}

/** Copies a message with the header `x-delivery-count`, which quorum queues add to redelivered messages. */
export function withDeliveryCount(message: EncodedMessage, count: number): OwnMessage {
  const properties = propertiesOf(message);
  const headers = { ...properties.headers, "x-delivery-count": BigInt(count) };
  const body = message.body.subarray(message.bodyStart, message.bodyEnd);
  return encodeMessage(addressOf(message), { ...properties, headers }, body);
}

function listOf(value: FieldValue | undefined): FieldValue[] {
  return Array.isArray(value) ? value : [];
}

/** Whether a value of a header is a table: the reader makes tables without a prototype. */
function isTable(value: FieldValue): value is FieldTable {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === null;
}
