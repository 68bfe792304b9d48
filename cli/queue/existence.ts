/** The queues of a command must exist, because a typo must not create one: only `--declare` does. */
import { AmqpError } from "../../lib/amqp/amqp_error.ts";
import type { AmqpConnection } from "../../lib/amqp/client/connection.ts";
import { inspectQueues } from "../../lib/amqp/client/peek.ts";
import {
  declareQueue,
  findExchange,
  findQueue,
  KNOWN_TYPES,
  type QueueState,
} from "../../lib/amqp/client/queues.ts";
import { nearest } from "../app/nearest.ts";
import { UsageError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import type { LoginValues } from "../brokers/link.ts";
import { targetAt, withConnection } from "./target.ts";

/**
 * Finds a queue.
 *
 * @param declare true: a missing queue is created; false: it is an error, with `--declare` as a remedy; undefined: it is
 * an error, and the command has no `--declare`
 * @throws {AmqpError} the queue does not exist; the text names a similar queue, if there is one
 */
export async function requireQueue(
  connection: AmqpConnection,
  queue: string,
  declare?: boolean,
): Promise<QueueState> {
  const found = await findQueue(connection, queue);
  if (found !== undefined) return found;
  if (declare === true) return await declareQueue(connection, queue);
  const similar = await similarQueue(connection, queue);
  const meant = similar === undefined ? "" : ` (did you mean '${similar}'?)`;
  const remedy = declare === undefined ? "" : "; --declare creates it";
  throw new AmqpError(404, `there is no queue '${queue}'${meant}${remedy}`);
}

/** @throws {AmqpError} the exchange does not exist */
export async function requireExchange(connection: AmqpConnection, exchange: string): Promise<void> {
  if (await findExchange(connection, exchange)) return;
  const similar = nearest(exchange, Object.keys(KNOWN_TYPES));
  const remedy = similar === undefined ? ": create it first" : ` (did you mean '${similar}'?)`;
  throw new AmqpError(404, `there is no exchange '${exchange}'${remedy}`);
}

/** The queue with the most similar name; undefined where the broker does not list its queues over AMQP. */
async function similarQueue(connection: AmqpConnection, queue: string): Promise<string | undefined> {
  if (!connection.peeks) return undefined;
  try {
    return nearest(queue, (await inspectQueues(connection)).map(({ name }) => name));
  } catch (error) {
    // The user may not be allowed to list queues.
    if (error instanceof AmqpError && error.scope === "channel") return undefined;
    throw error;
  }
}

/** Whether the name at an address is that of an exchange, and not of a queue. */
export async function namesExchange(
  session: Session,
  address: string,
  values: LoginValues,
): Promise<boolean> {
  const { name, ...target } = targetAt(session, address, values);
  let isExchange = false;
  if (name === undefined) return isExchange;
  await withConnection(target, async (connection) => {
    isExchange = await findQueue(connection, name) === undefined && await findExchange(connection, name);
  });
  return isExchange;
}

/**
 * @throws {UsageError} a name is empty, for which AMQP creates a queue with a generated name; or it is the address of a
 * queue, which may have a password
 */
export function checkNames(
  names: readonly string[],
  what: "a queue" | "an exchange" | "the file" = "a queue",
): void {
  if (what !== "the file" && names.some((name) => /^amqps?:\/\//i.test(name))) {
    throw new UsageError(
      `expected the name of ${what}, received an address: --url amqp://host/vhost names the broker`,
    );
  }
  if (!names.includes("")) return;
  throw new UsageError(`the name of ${what} must not be empty (is a variable of the shell not set?)`);
}

/** @throws {UsageError} a key is empty, though it was given */
export function refuseEmptyKeys(keys: readonly (string | undefined)[]): void {
  if (!keys.includes("")) return;
  throw new UsageError("-t '': it must not be empty (without -t the key is empty; is a variable not set?)");
}
