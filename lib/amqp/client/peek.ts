/** Looking into queues without taking anything, as only our own broker lets clients: `basic.consume` with an argument. */
import { PEEK, PEEK_QUEUES } from "../peek.ts";
import type { AmqpConnection } from "./connection.ts";
import type { ChannelEvents } from "./channel.ts";
import type { QueueInfo } from "./management.ts";

const MOST = 2 ** 31 - 1;

/**
 * Has the first messages of a queue shown; they stay as they are. Only where `connection.peeks`.
 *
 * @returns when all were shown
 * @throws {AmqpError} there is no such queue, or it may not be read
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

/** What the broker knows of the queues that may be read. Only where `connection.peeks`. */
export async function inspectQueues(connection: AmqpConnection): Promise<QueueInfo[]> {
  const queues: QueueInfo[] = [];
  const decoder = new TextDecoder();
  await peekQueue(connection, PEEK_QUEUES, MOST, {
    onDelivery({ content: { body, bodyStart, bodyEnd } }) {
      queues.push(JSON.parse(decoder.decode(body.subarray(bodyStart, bodyEnd))));
    },
  });
  return queues;
}
