/** Shows messages without delivering them, which only mqcat's own broker supports: `basic.consume` with an argument. */
import { PEEK, PEEK_NODE, PEEK_QUEUES } from "../peek.ts";
import type { AmqpConnection } from "./connection.ts";
import type { ChannelEvents } from "./channel.ts";
import type { NodeInfo, QueueInfo } from "./management.ts";

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

/** Describes the node. Requires `connection.peeks`. */
export function inspectNodes(connection: AmqpConnection): Promise<NodeInfo[]> {
  return inspect(connection, PEEK_NODE);
}

async function inspect<T>(connection: AmqpConnection, name: string): Promise<T[]> {
  const found: T[] = [];
  const decoder = new TextDecoder();
  await peekQueue(connection, name, MOST, {
    onDelivery({ content: { body, bodyStart, bodyEnd } }) {
      found.push(JSON.parse(decoder.decode(body.subarray(bodyStart, bodyEnd))));
    },
  });
  return found;
}
