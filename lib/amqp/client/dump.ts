/** Reads all messages of a queue without changing it, which only mqcat's own broker supports: see `../dump.ts`. */
import { DUMP, SNAPSHOT, type Snapshot } from "../dump.ts";
import type { ChannelEvents } from "./channel.ts";
import type { AmqpConnection } from "./connection.ts";
import { consumeToEnd, whereOf } from "./peek.ts";

/** Describes the queues that the user may read. Requires `connection.dumps`. */
export async function readSnapshot(connection: AmqpConnection): Promise<Snapshot> {
  let snapshot: Snapshot | undefined;
  const decoder = new TextDecoder();
  await consumeToEnd(connection, SNAPSHOT, { [DUMP]: {} }, {
    onDelivery({ content: { body, bodyStart, bodyEnd } }) {
      snapshot = JSON.parse(decoder.decode(body.subarray(bodyStart, bodyEnd)));
    },
  });
  return snapshot!;
}

/** The messages to read: those of a snapshot from a position on. */
export interface DumpRange {
  readonly id: number;
  readonly from: number;
  readonly to: readonly number[];
}

/**
 * Reports messages of a queue, also unacknowledged ones, in the order of delivery. The delivery tag minus 1 is the
 * position of the message. Requires `connection.dumps`.
 *
 * @param where a filter: only the messages that match are reported, and those that the broker cannot test, because their
 *   bodies are too large. Default: all
 * @returns after the last message
 * @throws {AmqpError} the queue does not exist, or the user has no access to it
 */
export async function dumpQueue(
  connection: AmqpConnection,
  queue: string,
  { id, from, to }: DumpRange,
  events: Pick<ChannelEvents, "onDelivery" | "onBatchEnd">,
  where?: string,
): Promise<void> {
  const range = { id: BigInt(id), from: BigInt(from), to: to.map(BigInt) };
  await consumeToEnd(connection, queue, { [DUMP]: range, ...whereOf(where) }, events);
}
