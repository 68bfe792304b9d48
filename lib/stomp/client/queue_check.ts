import { ClosedError } from "../../errors.ts";
import { dialFirst } from "../../link/dial.ts";
import type { LinkOptions } from "../../link/options.ts";
import { StompError } from "../stomp_error.ts";
import type { StompConnection } from "./connection.ts";
import { STOMP } from "./protocol.ts";

/** An argument of queues that is always invalid, with its value. */
const INVALID_ARGUMENT = "x-expires";
const INVALID_VALUE = "0";

/**
 * Checks that a queue exists. STOMP has no command for that: RabbitMQ and our broker drop messages to a missing queue, and
 * send their receipts. So a second connection tries to declare the queue with an invalid argument. Nothing is declared;
 * the error says that the argument is invalid for a missing queue, and something else for an existing one. Other servers
 * are not asked.
 *
 * @throws {StompError} the queue does not exist
 */
export async function requireQueue(
  main: StompConnection,
  queue: string,
  options: LinkOptions,
): Promise<void> {
  const { address, server } = main;
  if (!/^(RabbitMQ|mqcat)/.test(server)) return;
  const over = new AbortController();
  main.closed.then((cause) => over.abort(cause ?? new ClosedError("The STOMP connection is closed")));
  const { onEvent: _, ...quiet } = options;
  const connection = await dialFirst(STOMP, [address], { ...quiet, signal: over.signal });
  main.closed.then(() => connection.abort());
  try {
    await connection.call("SUBSCRIBE", [
      ["id", "exists"],
      ["destination", `/queue/${queue.replaceAll("/", "%2F")}`],
      ["ack", "client"],
      [INVALID_ARGUMENT, INVALID_VALUE],
    ]);
  } catch (error) {
    if (!(error instanceof StompError)) throw error;
    if (error.details.includes(`invalid arg '${INVALID_ARGUMENT}'`)) {
      throw new StompError("not_found", `no queue '${queue}' in virtual host '${address.vhost}'`);
    }
  } finally {
    await connection.close();
  }
}
