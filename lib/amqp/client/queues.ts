import { MqcatError } from "../../errors.ts";
import { AmqpError } from "../amqp_error.ts";
import type { FieldTable } from "../types/field_value.ts";
import type { AmqpConnection } from "./connection.ts";

/** What is known of a queue. */
export interface QueueState {
  readonly queue: string;
  /** Messages that are ready. */
  readonly messageCount: number;
  readonly consumerCount: number;
}

/** How a queue is to be. */
export interface QueueOptions {
  /** Whether it outlives the broker's restart; true unless told. */
  readonly durable?: boolean;
  /** Whether it goes with its last consumer. */
  readonly autoDelete?: boolean;
  readonly arguments?: FieldTable;
}

/**
 * Asks whether a queue is there.
 *
 * @returns its state; undefined when there is none
 */
export async function findQueue(connection: AmqpConnection, queue: string): Promise<QueueState | undefined> {
  const channel = await connection.open();
  try {
    return await channel.call("queue.declare", { queue, passive: true }, "queue.declare-ok");
  } catch (error) {
    if (error instanceof AmqpError && error.replyCode === 404) return undefined;
    throw error;
  } finally {
    await channel.close();
  }
}

/**
 * Declares a queue.
 *
 * @throws {MqcatError} it is there already and is different: the message says in what
 */
export async function declareQueue(
  connection: AmqpConnection,
  queue: string,
  options: QueueOptions = {},
): Promise<QueueState> {
  const channel = await connection.open();
  try {
    const args = { durable: true, ...options, queue };
    return await channel.call("queue.declare", args, "queue.declare-ok");
  } catch (error) {
    throw explainMismatch(queue, error);
  } finally {
    await channel.close();
  }
}

/** Declares a durable queue unless there is one, whatever that one is like. */
export async function ensureQueue(connection: AmqpConnection, queue: string): Promise<QueueState> {
  return await findQueue(connection, queue) ?? await declareQueue(connection, queue);
}

/** RabbitMQ says `inequivalent arg 'durable' for queue 'x' in vhost '/': received 'true' but current is 'false'`. */
function explainMismatch(queue: string, error: unknown): unknown {
  if (!(error instanceof AmqpError) || error.replyCode !== 406) return error;
  const match = /arg '([^']*)'.*received (.*?) but current is (.*)$/s.exec(error.replyText);
  if (match === null) return error;
  const [, name, wanted, current] = match;
  return new MqcatError(
    "ERR_AMQP_CHANNEL",
    `Queue '${queue}' is there already and is different: its ${name} is ${valueOf(current!)}, and ${
      valueOf(wanted!)
    } was asked for (declare it as it is, or delete it first)`,
    { cause: error },
  );
}

/** `the value '5' of type 'long'` is 5, `none` is no value. */
function valueOf(text: string): string {
  return /'([^']*)'/.exec(text)?.[1] ?? (text === "none" ? "not set" : text);
}
