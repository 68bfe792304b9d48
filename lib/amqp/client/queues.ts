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

/** How often a declaration is tried with what the last refusal told; no queue has so many arguments. */
const MAX_TRIES = 40;

/**
 * Finds out with which arguments a queue was declared. AMQP has no method for that, but who declares it otherwise is
 * told the difference: so it is declared again and again with what was told. A queue that is not there is created.
 *
 * @returns undefined when the broker does not tell, or not in RabbitMQ's words
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
    `Queue '${queue}' is there already and is different: its ${name} is ${current.text}, and ${wanted.text} ` +
      "was asked for (declare it as it is, or delete it first)",
    { cause: error },
  );
}

/** A value in RabbitMQ's words: `the value '5' of type 'long'`, `'true'` of a flag, or `none`. */
interface Told {
  readonly text: string;
  readonly type?: string;
}

/** RabbitMQ says `inequivalent arg 'durable' for queue 'x' in vhost '/': received 'true' but current is 'false'`. */
function differenceIn(error: unknown): { name: string; current: Told; wanted: Told } | undefined {
  if (!(error instanceof AmqpError) || error.replyCode !== 406) return undefined;
  const match = /arg '([^']*)'.*received (.*?) but current is (.*)$/s.exec(error.replyText);
  if (match === null) return undefined;
  return { name: match[1]!, wanted: told(match[2]!), current: told(match[3]!) };
}

function told(text: string): Told {
  const typed = /^the value '(.*)' of type '(\w+)'$/s.exec(text);
  if (typed !== null) return { text: typed[1]!, type: typed[2]! };
  return { text: /^'(.*)'$/s.exec(text)?.[1] ?? (text === "none" ? "not set" : text) };
}
