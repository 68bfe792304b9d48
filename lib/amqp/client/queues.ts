import { MqcatError } from "../../errors.ts";
import { AmqpError } from "../amqp_error.ts";
import { awayError, explainQueue, isGone } from "./availability.ts";
import type { FieldTable } from "../types/field_value.ts";
import type { Channel } from "./channel.ts";
import type { AmqpConnection } from "./connection.ts";

/** The state of a queue. */
export interface QueueState {
  /** The name of the queue. */
  readonly queue: string;
  /** The number of messages that are ready for delivery. */
  readonly messageCount: number;
  /** The number of consumers. */
  readonly consumerCount: number;
}

/** Properties of a queue. */
export interface QueueOptions {
  /** Whether the queue survives a restart of the broker. Default: true */
  readonly durable?: boolean;
  /** Whether the broker deletes the queue after its last consumer. Default: false */
  readonly autoDelete?: boolean;
  /** Arguments of the queue, for example `x-queue-type` or `x-max-length`. */
  readonly arguments?: FieldTable;
}

/** Opens a channel for `work`, and closes it afterwards. */
export async function withChannel<T>(
  connection: AmqpConnection,
  work: (channel: Channel) => Promise<T>,
): Promise<T> {
  const channel = await connection.open();
  try {
    return await work(channel);
  } finally {
    await channel.close();
  }
}

/**
 * Looks up a queue.
 *
 * @returns the state; undefined when the queue does not exist
 * @throws {AwayError} the queue exists, but it is unavailable
 */
export async function findQueue(connection: AmqpConnection, queue: string): Promise<QueueState | undefined> {
  try {
    return await withChannel(
      connection,
      (channel) => channel.call("queue.declare", { queue, passive: true }, "queue.declare-ok"),
    );
  } catch (error) {
    if (isGone(error)) return undefined;
    throw explainQueue(queue, error);
  }
}

/**
 * Counts the ready messages of a queue, by an answer that can be trusted: a quorum queue without a leader answers that it has
 * neither messages nor consumers. So an empty queue without consumers is asked again by a consumer.
 *
 * @returns undefined when the queue does not exist
 * @throws {AwayError} the queue exists, but it is unavailable
 */
export async function countReady(connection: AmqpConnection, queue: string): Promise<number | undefined> {
  const state = await findQueue(connection, queue);
  // mqcat's own broker has one node.
  if (state === undefined || connection.peeks || state.messageCount + state.consumerCount > 0) {
    return state?.messageCount;
  }
  let delivered = 0;
  const channel = await connection.open({ onDelivery: () => delivered++ });
  try {
    await channel.call("basic.qos", { prefetchCount: 1 }, "basic.qos-ok");
    await channel.call("basic.consume", { queue }, "basic.consume-ok");
    const args = { queue, passive: true };
    // The first reply may overtake a delivery, see `Consumer.isDrained`.
    await channel.call("queue.declare", args, "queue.declare-ok");
    const { messageCount, consumerCount } = await channel.call("queue.declare", args, "queue.declare-ok");
    if (consumerCount === 0) throw awayError(queue, "it has no leader that could answer");
    return messageCount + delivered;
  } catch (error) {
    throw explainQueue(queue, error);
  } finally {
    await channel.close();
  }
}

/**
 * Removes all ready messages of a queue.
 *
 * @returns the number of removed messages
 * @throws {MqcatError} the queue is a stream
 */
export async function purgeQueue(connection: AmqpConnection, queue: string): Promise<number> {
  try {
    return await withChannel(
      connection,
      async (channel) => (await channel.call("queue.purge", { queue }, "queue.purge-ok")).messageCount,
    );
  } catch (error) {
    throw explainStream(
      error,
      `Cannot purge '${queue}'`,
      "only its limits remove messages, such as x-max-age",
    );
  }
}

/** The error of a method that RabbitMQ does not support for streams. @param remedy what to do instead */
export function explainStream(error: unknown, what: string, remedy: string): unknown {
  if (!(error instanceof AmqpError) || error.replyCode !== 540 || !/by stream queues/.test(error.replyText)) {
    return error;
  }
  return new MqcatError("ERR_AMQP_CHANNEL", `${what} as it is a stream: ${remedy}`, { cause: error });
}

/** Whether an exchange exists. */
export async function findExchange(connection: AmqpConnection, exchange: string): Promise<boolean> {
  try {
    await withChannel(
      connection,
      (channel) => channel.call("exchange.declare", { exchange, passive: true }, "exchange.declare-ok"),
    );
    return true;
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
}

/** The exchanges that every broker has, and their types. */
export const KNOWN_TYPES: Readonly<Record<string, string>> = {
  "amq.direct": "direct",
  "amq.fanout": "fanout",
  "amq.headers": "headers",
  "amq.match": "headers",
  "amq.topic": "topic",
};

/**
 * Finds out the type of an exchange, which must exist. AMQP has no method for this, but a broker refuses to declare it
 * with another type and names its own.
 *
 * @returns undefined when the broker does not say it, for example because the user may not declare exchanges
 */
export async function exchangeType(
  connection: AmqpConnection,
  exchange: string,
): Promise<string | undefined> {
  const known = KNOWN_TYPES[exchange];
  if (known !== undefined) return known;
  try {
    const args = { exchange, type: "topic", durable: true };
    await withChannel(connection, (channel) => channel.call("exchange.declare", args, "exchange.declare-ok"));
    return "topic";
  } catch (error) {
    if (!(error instanceof AmqpError) || error.scope !== "channel") throw error;
    const difference = differenceIn(error);
    if (difference === undefined) return undefined;
    return difference.name === "type" ? difference.current.text : "topic";
  }
}

/**
 * Declares a queue.
 *
 * @throws {MqcatError} the queue exists with other properties; the message names the difference
 */
export async function declareQueue(
  connection: AmqpConnection,
  queue: string,
  options: QueueOptions = {},
): Promise<QueueState> {
  const args = { durable: true, ...options, queue };
  try {
    return await withChannel(
      connection,
      (channel) => channel.call("queue.declare", args, "queue.declare-ok"),
    );
  } catch (error) {
    throw explainMismatch(queue, error);
  }
}

/** The maximum number of declarations that find out the arguments of a queue; no queue has as many arguments. */
const MAX_TRIES = 40;

/**
 * Finds out the arguments of a queue. AMQP has no method for this, but a broker refuses a declaration with other
 * arguments and names one difference: so the function repeats the declaration with each difference applied. It creates
 * the queue if it does not exist.
 *
 * @returns undefined when the broker does not name the difference in RabbitMQ's format
 */
export async function queueArguments(
  connection: AmqpConnection,
  queue: string,
): Promise<FieldTable | undefined> {
  const args: FieldTable = {};
  const options = { durable: true, autoDelete: false };
  for (let i = 0; i < MAX_TRIES; i++) {
    const channel = await connection.open();
    try {
      await channel.call("queue.declare", { ...options, queue, arguments: args }, "queue.declare-ok");
      return args;
    } catch (error) {
      const difference = differenceIn(error);
      if (difference === undefined) {
        if (error instanceof AmqpError && error.scope === "channel") return undefined;
        throw error;
      }
      const { name, current } = difference;
      if (name === "durable") options.durable = current.text === "true";
      else if (name === "auto_delete") options.autoDelete = current.text === "true";
      else if (current.type === "bool") args[name] = current.text === "true";
      else args[name] = current.type === "longstr" ? current.text : Number(current.text);
    } finally {
      await channel.close();
    }
  }
  return undefined;
}

function explainMismatch(queue: string, error: unknown): unknown {
  const difference = differenceIn(error);
  if (difference === undefined) return error;
  const { name, current, wanted } = difference;
  return new MqcatError(
    "ERR_AMQP_CHANNEL",
    `Cannot declare queue '${queue}' as it exists and its ${name} is ${current.text}: received ${wanted.text} ` +
      "(declare it with the same value, or delete it first)",
    { cause: error },
  );
}

/** A value in RabbitMQ's format: `the value '5' of type 'long'`, `'true'` for a flag, or `none`. */
interface ReportedValue {
  readonly text: string;
  readonly type?: string;
}

/** Parses RabbitMQ's `inequivalent arg 'durable' for queue 'x' in vhost '/': received 'true' but current is 'false'`. */
function differenceIn(
  error: unknown,
): { name: string; current: ReportedValue; wanted: ReportedValue } | undefined {
  if (!(error instanceof AmqpError) || error.replyCode !== 406) return undefined;
  const match = /arg '([^']*)'.*received (.*?) but current is (.*)$/s.exec(error.replyText);
  if (match === null) return undefined;
  return { name: match[1]!, wanted: reportedValue(match[2]!), current: reportedValue(match[3]!) };
}

function reportedValue(text: string): ReportedValue {
  const typed = /^the value '(.*)' of type '(\w+)'$/s.exec(text);
  if (typed !== null) return { text: typed[1]!, type: typed[2]! };
  return { text: /^'(.*)'$/s.exec(text)?.[1] ?? (text === "none" ? "not set" : text) };
}
