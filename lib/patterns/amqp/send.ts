/** Publish and push on AMQP brokers. */
import { AmqpError } from "../../amqp/amqp_error.ts";
import type { AmqpConnection } from "../../amqp/client/connection.ts";
import type { LinkOptions } from "../../amqp/client/link.ts";
import { type ClusterOptions, nearLeader } from "../../amqp/client/near_leader.ts";
import { Publisher, type PublisherOptions } from "../../amqp/client/publisher.ts";
import { declareQueue, findExchange, findQueue } from "../../amqp/client/queues.ts";
import type { AmqpAddress, BrokerAddress } from "../../amqp/client/url.ts";
import { EndpointError } from "../../errors.ts";
import type { Outlet } from "../contract.ts";
import { keeping, type RoomOptions } from "./why_away.ts";

/** The exchange of `publish` and `subscribe` for addresses without a name. */
export const DEFAULT_EXCHANGE = "amq.topic";

/** Checks what an address names, on each connection. Default: it must exist. */
export type Prepare = (connection: AmqpConnection) => Promise<unknown>;

/** Options of `publish`. */
export interface PublishOptions extends LinkOptions, ClusterOptions {
  /** Whether messages that reach no queue are counted as `returned`. Default: false */
  readonly mandatory?: boolean | undefined;
  readonly prepare?: Prepare | undefined;
}

/** Options of `push`. */
export interface PushOptions extends LinkOptions, ClusterOptions {
  /** Whether a missing queue is created, durable. Default: false */
  readonly declare?: boolean | undefined;
  readonly prepare?: Prepare | undefined;
}

/** Publishes to the exchange of an address, with confirms. The topic of an envelope is the routing key. */
export function publish({ brokers, name }: AmqpAddress, options: PublishOptions = {}): Outlet {
  const exchange = name ?? DEFAULT_EXCHANGE;
  const keeper = keeping(brokers, {
    ...options,
    mandatory: options.mandatory ?? false,
    prepare: async (connection: AmqpConnection) => {
      await (options.prepare ?? requireExchange(exchange))(connection);
    },
  });
  return new Publisher(brokers, keeper);
}

/**
 * Puts messages into the queue of an address, with confirms. The envelopes name it: the exchange is empty, and the routing
 * key is the queue.
 *
 * @throws {EndpointError} the address has no name
 */
export function push(address: AmqpAddress, options: PushOptions = {}): Outlet {
  const queue = queueOf(address);
  return pushTo(address.brokers, queue, {
    ...options,
    prepare: async (connection) => {
      await (options.prepare ?? requireQueue(queue, options.declare ?? false))(connection);
    },
  });
}

/**
 * Makes a publisher for one queue. Messages that come back or are refused while the queue is away are published again when
 * it is back; if it is gone or full, they are `returned` or `refused`.
 */
export function pushTo(
  brokers: readonly BrokerAddress[],
  queue: string,
  options: Omit<PublisherOptions, "reconsider" | "mandatory"> & ClusterOptions & RoomOptions,
): Publisher {
  return new Publisher(brokers, keeping(brokers, nearLeader(brokers, queue, options)));
}

/** The queue that an address names. @throws {EndpointError} it names none */
export function queueOf({ brokers, name }: AmqpAddress): string {
  if (name !== undefined) return name;
  const vhost = brokers[0]!.vhost;
  const remedy = vhost === "/"
    ? "amqp://host//jobs is the queue 'jobs' in the default virtual host"
    : `'${vhost}' is the virtual host; amqp://host//${vhost} would be the queue '${vhost}' in the default one`;
  throw new EndpointError(`The address names no queue: ${remedy}`);
}

/** Makes sure that a queue exists. @param declare whether it is created if not */
export function requireQueue(queue: string, declare: boolean): Prepare {
  return async (connection) => {
    if (await findQueue(connection, queue) !== undefined) return;
    if (!declare) throw new AmqpError(404, `there is no queue '${queue}'`);
    await declareQueue(connection, queue);
  };
}

/** Makes sure that an exchange exists. */
export function requireExchange(exchange: string): Prepare {
  return async (connection) => {
    if (await findExchange(connection, exchange)) return;
    throw new AmqpError(404, `there is no exchange '${exchange}'`);
  };
}
