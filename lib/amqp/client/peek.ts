/** Shows messages without delivering them, which only mqcat's own broker supports: `basic.consume` with an argument. */
import { PEEK, PEEK_EXCHANGES, PEEK_QUEUES } from "../peek.ts";
import type { AmqpConnection } from "./connection.ts";
import type { ChannelEvents } from "./channel.ts";
import type { ExchangeInfo, QueueInfo } from "./management.ts";

const MOST = 2 ** 31 - 1;

/**
 * Reports the first messages of a queue, without a change to the queue. Requires `connection.peeks`.
 *
 * @param count the maximum number of messages
 * @returns after the last message
 * @throws {AmqpError} the queue does not exist, or the user has no access to it
 */
export async function peekQueue(
  connection: AmqpConnection,
  queue: string,
  count: number,
  events: Pick<ChannelEvents, "onDelivery" | "onBatchEnd">,
): Promise<void> {
  let end!: () => void;
  const ended = new Promise<void>((resolve) => end = resolve);
  const channel = await connection.open({ ...events, onCancel: end });
  const args = { queue, noAck: true, arguments: { [PEEK]: Math.min(count, MOST) } };
  await channel.call("basic.consume", args, "basic.consume-ok");
  const error = await Promise.race([ended, channel.closed]);
  if (error !== undefined) throw error;
  await channel.close();
}

/** Describes the queues that the user may read. Requires `connection.peeks`. */
export function inspectQueues(connection: AmqpConnection): Promise<QueueInfo[]> {
  return inspect(connection, PEEK_QUEUES);
}

/** Describes the exchanges to which the user may publish. Requires `connection.peeks`. */
export function inspectExchanges(connection: AmqpConnection): Promise<ExchangeInfo[]> {
  return inspect(connection, PEEK_EXCHANGES);
}

async function inspect<T>(connection: AmqpConnection, name: string): Promise<T[]> {
  const rows: T[] = [];
  const decoder = new TextDecoder();
  await peekQueue(connection, name, MOST, {
    onDelivery({ content: { body, bodyStart, bodyEnd } }) {
      rows.push(JSON.parse(decoder.decode(body.subarray(bodyStart, bodyEnd))));
    },
  });
  return rows;
}
