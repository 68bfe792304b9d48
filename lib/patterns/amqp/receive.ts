/** Subscribe and pull on AMQP brokers. */
import type { AmqpConnection } from "../../amqp/client/connection.ts";
import { Consumer } from "../../amqp/client/consumer.ts";
import type { LinkOptions } from "../../amqp/client/link.ts";
import { type ClusterOptions, nearLeader } from "../../amqp/client/near_leader.ts";
import { exchangeType, withChannel } from "../../amqp/client/queues.ts";
import type { AmqpAddress } from "../../amqp/client/url.ts";
import type { FieldTable } from "../../amqp/types/field_value.ts";
import { EndpointError } from "../../errors.ts";
import type { Inlet, InletEvents } from "../contract.ts";
import { DEFAULT_EXCHANGE, type Prepare, queueOf, requireExchange, requireQueue } from "./send.ts";

/** Options of `subscribe`. */
export interface SubscribeOptions extends LinkOptions, InletEvents {
  /** Patterns for topic exchanges, keys for direct exchanges. Default: all messages */
  readonly topics?: readonly string[] | undefined;
  /** The headers that a message must have, for headers exchanges; a message must match one of the tables. */
  readonly matches?: readonly FieldTable[] | undefined;
  /** The maximum number of unacknowledged messages. Default: 1000 */
  readonly prefetch?: number | undefined;
  readonly prepare?: Prepare | undefined;
}

/** Options of `pull`. */
export interface PullOptions extends LinkOptions, ClusterOptions, InletEvents {
  /** Whether a missing queue is created, durable. Default: false */
  readonly declare?: boolean | undefined;
  /** Returns the arguments of the consumer, for each connection. Default: no arguments */
  readonly arguments?: (() => FieldTable) | undefined;
  /** The maximum number of unacknowledged messages. Default: 1000 */
  readonly prefetch?: number | undefined;
  readonly prepare?: Prepare | undefined;
  /** See `ConsumerOptions`. */
  readonly where?: string | undefined;
  readonly drain?: boolean | undefined;
}

/**
 * Receives copies of the messages of an exchange. They come from a queue of its own, which the broker deletes with the
 * connection: no other receiver is affected. Messages that are published between two connections are lost.
 */
export function subscribe({ brokers, name }: AmqpAddress, options: SubscribeOptions): Inlet {
  const exchange = name ?? DEFAULT_EXCHANGE;
  const { prepare = requireExchange(exchange), topics = [], matches = [] } = options;
  return new Consumer(brokers, (connection) => tap(connection, exchange, topics, matches), {
    ...options,
    prepare: async (connection) => {
      await prepare(connection);
    },
  });
}

/**
 * Consumes the queue of an address, with acknowledgements.
 *
 * @throws {EndpointError} the address has no name
 */
export function pull(address: AmqpAddress, options: PullOptions): Inlet {
  const queue = queueOf(address);
  const { prepare = requireQueue(queue, options.declare ?? false), arguments: args = () => ({}) } = options;
  return new Consumer(address.brokers, queue, {
    ...nearLeader(address.brokers, queue, options),
    arguments: args,
    prepare: async (connection) => {
      await prepare(connection);
    },
  });
}

/** Declares an exclusive queue, and binds it to an exchange. @returns the name that the broker gave it */
async function tap(
  connection: AmqpConnection,
  exchange: string,
  topics: readonly string[],
  matches: readonly FieldTable[],
): Promise<string> {
  const keys = topics.length === 0 && matches.length === 0 ? [await keyOfAll(connection, exchange)] : topics;
  return await withChannel(connection, async (channel) => {
    const queue = { queue: "", exclusive: true, autoDelete: true };
    const { queue: name } = await channel.call("queue.declare", queue, "queue.declare-ok");
    const bindings = [
      ...keys.map((routingKey) => ({ routingKey, arguments: {} })),
      ...matches.map((table) => ({ routingKey: "", arguments: table })),
    ];
    for (const binding of bindings) {
      await channel.call("queue.bind", { queue: name, exchange, ...binding }, "queue.bind-ok");
    }
    return name;
  });
}

/** The binding key that selects all messages of an exchange. */
async function keyOfAll(connection: AmqpConnection, exchange: string): Promise<string> {
  const type = await exchangeType(connection, exchange);
  if (type === "direct") {
    throw new EndpointError(
      `Exchange '${exchange}' is a direct exchange, which has no pattern for all messages: name the routing keys`,
    );
  }
  return type === "fanout" || type === "headers" ? "" : "#";
}
