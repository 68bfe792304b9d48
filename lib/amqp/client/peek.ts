/**
 * Shows, counts, deletes and moves messages in place, which only mqcat's own broker supports: `basic.consume` with
 * arguments.
 */
import type { FieldTable } from "../types/field_value.ts";
import {
  COUNTED,
  type CountedQueue,
  PEEK,
  PEEK_EXCHANGES,
  PEEK_NODE,
  PEEK_QUEUES,
  SWEEP,
  SWEEP_LIMIT,
  SWEEP_TO,
  type SweepReport,
  WHERE,
} from "../peek.ts";
import type { AmqpConnection } from "./connection.ts";
import type { ChannelEvents } from "./channel.ts";
import type { ExchangeInfo, NodeInfo, QueueInfo } from "./management.ts";

const MOST = 2 ** 31 - 1;

/**
 * Reports the first messages of a queue, without a change to the queue. Requires `connection.peeks`, and
 * `connection.sweeps` for a filter.
 *
 * @param count the maximum number of messages
 * @param where a filter: only the messages that match are reported. Default: all
 * @returns after the last message
 * @throws {AmqpError} the queue does not exist, or the user has no access to it
 */
export async function peekQueue(
  connection: AmqpConnection,
  queue: string,
  count: number,
  events: Pick<ChannelEvents, "onDelivery" | "onBatchEnd">,
  where?: string,
): Promise<void> {
  await consumeToEnd(connection, queue, { [PEEK]: Math.min(count, MOST), ...whereOf(where) }, events);
}

/** What a sweep does, with which messages. */
export interface SweepOptions {
  readonly action: "count" | "delete" | "move" | "redrive";
  /** The target queue of `move`, or of `redrive` instead of those where the messages died. */
  readonly to?: string | undefined;
  /** A filter. Default: all messages */
  readonly where?: string | undefined;
  /** The maximum number of messages. Default: no limit */
  readonly limit?: number | undefined;
  /** Called with reports while the sweep runs, and with the last one. */
  readonly onReport?: (report: SweepReport) => void;
}

/**
 * Counts, deletes, moves or redrives messages of a queue in place: those that are ready when it begins. The others keep their
 * order, flags and counts. After a crash of the broker each message is in one of the two queues, and what is reported
 * at the end has happened. Requires `connection.sweeps`.
 *
 * @returns the last report
 * @throws {AmqpError} a queue does not exist, or the user has no access to it
 */
export async function sweepQueue(
  connection: AmqpConnection,
  queue: string,
  { action, to, where, limit, onReport }: SweepOptions,
): Promise<SweepReport> {
  let report!: SweepReport;
  const decoder = new TextDecoder();
  await consumeToEnd(connection, queue, {
    [SWEEP]: action,
    ...(to === undefined ? {} : { [SWEEP_TO]: to }),
    ...(limit === undefined ? {} : { [SWEEP_LIMIT]: Math.min(limit, MOST) }),
    ...whereOf(where),
  }, {
    onDelivery({ content: { body, bodyStart, bodyEnd } }) {
      report = JSON.parse(decoder.decode(body.subarray(bodyStart, bodyEnd)));
      onReport?.(report);
    },
  });
  return report;
}

/** Describes the queues that the user may read. Requires `connection.peeks`. */
export function inspectQueues(connection: AmqpConnection): Promise<QueueInfo[]> {
  return inspect(connection, PEEK_QUEUES);
}

/** Counts the messages of the queues that the user may read: much less work than `inspectQueues`. Requires `connection.peeks`. */
export async function countQueues(connection: AmqpConnection): Promise<CountedQueue[]> {
  const found: CountedQueue[] = [];
  const answers = await inspect<CountedQueue[] | QueueInfo>(connection, PEEK_QUEUES, { [COUNTED]: true });
  for (const answer of answers) {
    if (Array.isArray(answer)) { for (const queue of answer) found.push(queue); }
    else found.push(countedOf(answer as QueueInfo)); // A broker before this argument.
  }
  return found;
}

function countedOf(info: QueueInfo): CountedQueue {
  const { name, type = "classic", messages_ready = 0, messages_unacknowledged = 0, consumers = 0 } = info;
  return [name, type, messages_ready, messages_unacknowledged, consumers, null, null, 0, 0, 0];
}

/** Describes the node. Requires `connection.peeks`. */
export function inspectNodes(connection: AmqpConnection): Promise<NodeInfo[]> {
  return inspect(connection, PEEK_NODE);
}

/** Describes the exchanges to which the user may publish. Requires `connection.peeks`. */
export function inspectExchanges(connection: AmqpConnection): Promise<ExchangeInfo[]> {
  return inspect(connection, PEEK_EXCHANGES);
}

async function inspect<T>(connection: AmqpConnection, name: string, args: FieldTable = {}): Promise<T[]> {
  const rows: T[] = [];
  const decoder = new TextDecoder();
  await consumeToEnd(connection, name, { ...args, [PEEK]: MOST }, {
    onDelivery({ content: { body, bodyStart, bodyEnd } }) {
      rows.push(JSON.parse(decoder.decode(body.subarray(bodyStart, bodyEnd))));
    },
  });
  return rows;
}

/** Consumes until the server cancels the consumer. @throws {AmqpError} the queue does not exist, or access is refused */
export async function consumeToEnd(
  connection: AmqpConnection,
  queue: string,
  args: FieldTable,
  events: Pick<ChannelEvents, "onDelivery" | "onBatchEnd">,
): Promise<void> {
  let end!: () => void;
  const ended = new Promise<void>((resolve) => end = resolve);
  const channel = await connection.open({ ...events, onCancel: end });
  await channel.call("basic.consume", { queue, noAck: true, arguments: args }, "basic.consume-ok");
  const error = await Promise.race([ended, channel.closed]);
  if (error !== undefined) throw error;
  await channel.close();
}

/** The argument for a filter, if there is one. */
export function whereOf(where: string | undefined): FieldTable {
  return where === undefined ? {} : { [WHERE]: where };
}
