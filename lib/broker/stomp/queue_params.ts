/** The queues of destinations: their properties and arguments come from the headers of SEND and SUBSCRIBE. */
import { createHash } from "node:crypto";
import { Buffer } from "node:buffer";
import type { FieldTable } from "../../amqp/types/field_value.ts";
import { textLength, writeText } from "../../bytes/text.ts";
import type { StompFrame } from "../../stomp/frame.ts";
import { StompError } from "../../stomp/stomp_error.ts";
import { randomName } from "../core/clients/names.ts";
import type { QueueDeclaration } from "../core/topology/declaration_checks.ts";
import type { Destination } from "../../crossing/stomp/destination.ts";
import { booleanOf, integerHeader } from "../../crossing/stomp/headers.ts";

/** The headers that are arguments of the queue: texts and numbers. */
const TEXT_ARGUMENTS = ["x-dead-letter-exchange", "x-dead-letter-routing-key", "x-queue-type"];
const NUMBER_ARGUMENTS = [
  "x-expires",
  "x-max-length",
  "x-max-length-bytes",
  "x-max-priority",
  "x-message-ttl",
];
const MAX_NUMBER = (1n << 63n) - 1n;

/**
 * Returns the declaration of the queue of a destination.
 *
 * @param queue the name of the queue
 * @throws {StompError} a header is invalid
 */
export function declarationOf(frame: StompFrame, destination: Destination, queue: string): QueueDeclaration {
  const isQueue = destination.kind === "queue";
  const durable = flag(frame, "durable") ?? flag(frame, "persistent") ?? isQueue;
  // The queue of a subscription can be shared by connections, and is deleted with the last subscription.
  const exclusive = flag(frame, "exclusive") ?? (isQueue && !durable);
  const autoDelete = flag(frame, "auto-delete") ?? (!isQueue || !durable);
  return { queue, passive: false, durable, exclusive, autoDelete, arguments: argumentsOf(frame) };
}

/** Whether the subscription of a SUBSCRIBE or UNSUBSCRIBE frame is durable. */
export function isDurable(frame: StompFrame): boolean {
  return isTrue(frame.get("durable")) || isTrue(frame.get("persistent"));
}

/** Returns the name of the queue of a subscription to a topic or an exchange. */
export function subscriptionQueue(frame: StompFrame, { key }: Destination): string {
  const given = frame.get("x-queue-name");
  if (given !== undefined) return given;
  const id = isDurable(frame) ? durableName(key, frame.get("id")!) : randomName();
  return `stomp-subscription-${id}`;
}

/**
 * Returns the same name as RabbitMQ, so that its durable subscriptions can be moved: a hash of routing key and id in
 * Erlang's external term format.
 */
export function durableName(key: string, id: string): string {
  const bytes = [Uint8Array.of(131, 104, 2), term(key), term(id)];
  const hash = createHash("md5");
  for (const part of bytes) hash.update(part);
  return Buffer.from(hash.digest()).toString("base64url");
}

/** Encodes a text as a string of bytes; the empty one is a list without elements. */
function term(text: string): Uint8Array {
  const length = textLength(text);
  if (length === 0) return Uint8Array.of(106);
  const bytes = new Uint8Array(3 + length);
  bytes.set([107, length >>> 8, length & 0xff]);
  writeText(text, bytes, 3);
  return bytes;
}

function argumentsOf(frame: StompFrame): FieldTable {
  const args: FieldTable = {};
  for (const name of TEXT_ARGUMENTS) {
    const value = frame.get(name);
    if (value !== undefined) args[name] = value.trim();
  }
  for (const name of NUMBER_ARGUMENTS) {
    const value = frame.get(name);
    // RabbitMQ declares them as 64-bit numbers.
    if (value !== undefined) args[name] = integerHeader(name, value, MAX_NUMBER);
  }
  return args;
}

function flag(frame: StompFrame, name: string): boolean | undefined {
  const value = frame.get(name);
  return value === undefined ? undefined : booleanOf(name, value);
}

function isTrue(value: string | undefined): boolean {
  return value === "true" || value === "True";
}

/** Checks that a durable subscription has an id. @throws {StompError} it has none */
export function checkDurableId(frame: StompFrame): void {
  if (isDurable(frame) && frame.get("id") === undefined) {
    throw new StompError("Missing Header", "Header 'id' is required for durable subscriptions");
  }
}
