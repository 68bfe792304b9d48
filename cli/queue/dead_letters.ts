/** Dead letters: whether a queue has a destination for them, and the original queue of a dead letter. */
import type { AmqpConnection } from "../../lib/amqp/client/connection.ts";
import { findExchange, findQueue, queueArguments } from "../../lib/amqp/client/queues.ts";
import { decodeProperties, encodeProperties } from "../../lib/amqp/properties.ts";
import type { FieldTable, FieldValue } from "../../lib/amqp/types/field_value.ts";
import type { Readdress } from "../../lib/patterns/bridge/addressing.ts";
import type { Reporter } from "../app/reporter.ts";

/**
 * Makes sure that rejected messages are not lost: AMQP drops them silently when the queue has no dead-letter exchange,
 * or when that exchange does not exist.
 *
 * @throws {Error} rejected messages would be dropped
 */
export async function requireDeadLetters(
  connection: AmqpConnection,
  queue: string,
  reporter: Reporter,
): Promise<void> {
  const args = await queueArguments(connection, queue);
  if (args === undefined) {
    return reporter.warn(
      `the broker does not report whether '${queue}' has a dead-letter exchange: without one, failed messages are dropped`,
    );
  }
  const exchange = args["x-dead-letter-exchange"];
  const key = args["x-dead-letter-routing-key"];
  if (typeof exchange !== "string") {
    throw new Error(
      `'${queue}' has no dead-letter exchange, so failed messages would be lost: declare it with ` +
        "-a x-dead-letter-exchange=NAME (or use --on-error reject, if a policy sets the exchange)",
    );
  }
  if (exchange !== "" && !await findExchange(connection, exchange)) {
    throw new Error(
      `'${queue}' dead-letters to the exchange '${exchange}', which does not exist: create it first`,
    );
  }
  if (exchange === "" && typeof key === "string" && await findQueue(connection, key) === undefined) {
    throw new Error(`'${queue}' dead-letters to the queue '${key}', which does not exist: declare it first`);
  }
}

/** The headers in which a broker records deaths: without them a message can die again as if for the first time. */
const DEATH_HEADERS = /^x-(death$|first-death-|last-death-)/;
/** Routing keys for the original exchange, which would now send copies to other queues. */
const COPY_HEADERS = /^B?CC$/;

/**
 * Returns how dead letters are readdressed. They are restored to what they were before.
 *
 * @param from the queue where they are now
 * @param to the queue for all of them; undefined: each one goes to the queue where it died
 */
export function revived(from: string, to: string | undefined): Readdress {
  return ({ properties: encoded }) => {
    const { headers, ...properties } = decodeProperties(encoded);
    const routingKey = to ?? originOf(headers, from);
    if (routingKey === undefined) return "without an original queue in their headers";
    const kept = Object.entries(headers ?? {}).filter(([name]) =>
      !DEATH_HEADERS.test(name) && !COPY_HEADERS.test(name)
    );
    if (kept.length > 0) Object.assign(properties, { headers: Object.fromEntries(kept) });
    return { exchange: "", routingKey, properties: encodeProperties(properties) };
  };
}

/**
 * Returns the queue in which a dead letter died last, before it was moved to its present queue.
 *
 * @param headers `x-death` lists the deaths, the last one first; `x-first-death-queue` is the first one's
 * @returns undefined when the headers do not name it
 */
function originOf(headers: FieldTable | undefined, now: string): string | undefined {
  const deaths = headers?.["x-death"];
  const queues = Array.isArray(deaths)
    ? deaths.map((death) => isTable(death) ? death["queue"] : undefined)
    : [];
  return [...queues, headers?.["x-first-death-queue"]]
    .find((queue): queue is string => typeof queue === "string" && queue !== now);
}

function isTable(value: FieldValue): value is FieldTable {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === null;
}
