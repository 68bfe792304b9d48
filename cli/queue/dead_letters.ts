/** Dead letters: whether a queue has a destination for them, and the original queue of a dead letter. */
import type { AmqpConnection } from "../../lib/amqp/client/connection.ts";
import { findExchange, findQueue, queueArguments } from "../../lib/amqp/client/queues.ts";
import { NO_ORIGIN } from "../../lib/amqp/peek.ts";
import { revive } from "../../lib/amqp/revival.ts";
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

/**
 * Returns how dead letters are readdressed. They are restored to what they were before.
 *
 * @param from the queue where they are now
 * @param to the queue for all of them; undefined: each one goes to the queue where it died
 */
export function revived(from: string, to: string | undefined): Readdress {
  return ({ properties: encoded }) => {
    const revived = revive(encoded, from, to);
    if (revived === undefined) return NO_ORIGIN;
    return { exchange: "", routingKey: revived.queue, properties: revived.properties };
  };
}
