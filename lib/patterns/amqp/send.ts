/** Publish and push on AMQP brokers. */
import { AmqpError } from "../../amqp/amqp_error.ts";
import type { AmqpConnection } from "../../amqp/client/connection.ts";
import type { LinkOptions } from "../../amqp/client/link.ts";
import { Publisher, type PublisherOptions } from "../../amqp/client/publisher.ts";
import { awayError } from "../../amqp/client/availability.ts";
import { declareQueue, findExchange, findQueue, queueArguments } from "../../amqp/client/queues.ts";
import type { AmqpAddress, BrokerAddress } from "../../amqp/client/url.ts";
import { EndpointError } from "../../errors.ts";
import { AwayError } from "../../link/away.ts";
import type { Outlet } from "../contract.ts";

/** The exchange of `publish` and `subscribe` for addresses without a name. */
export const DEFAULT_EXCHANGE = "amq.topic";

/** Checks what an address names, on each connection. Default: it must exist. */
export type Prepare = (connection: AmqpConnection) => Promise<unknown>;

/** Options of `publish`. */
export interface PublishOptions extends LinkOptions {
  /** Whether messages that reach no queue are counted as `returned`. Default: false */
  readonly mandatory?: boolean | undefined;
  readonly prepare?: Prepare | undefined;
}

/** Options of `push`. */
export interface PushOptions extends LinkOptions {
  /** Whether a missing queue is created, durable. Default: false */
  readonly declare?: boolean | undefined;
  readonly prepare?: Prepare | undefined;
}

/** Publishes to the exchange of an address, with confirms. The topic of an envelope is the routing key. */
export function publish({ brokers, name }: AmqpAddress, options: PublishOptions = {}): Outlet {
  const exchange = name ?? DEFAULT_EXCHANGE;
  return new Publisher(brokers, {
    ...options,
    mandatory: options.mandatory ?? false,
    prepare: async (connection) => {
      await (options.prepare ?? requireExchange(exchange))(connection);
    },
  });
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

/** Options of `pushTo`. */
export interface PushToOptions extends Omit<PublisherOptions, "reconsider" | "mandatory"> {
  /** Whether refused messages are published again until there is room for them. Default: false */
  readonly waitsForRoom?: boolean | undefined;
}

/**
 * Makes a publisher for one queue. Messages that come back or are refused while the queue is away are published again when
 * it is back; if it is gone or full, they are `returned` or `refused`.
 */
export function pushTo(
  brokers: readonly BrokerAddress[],
  queue: string,
  { waitsForRoom = false, ...options }: PushToOptions,
): Publisher {
  return new Publisher(brokers, {
    ...options,
    reconsider: async (connection, outcome) => {
      if (!waitsForRoom || outcome === "returned") return await whyAway(connection, queue, outcome);
      return await whyRefused(connection, queue);
    },
  });
}

/** Why a queue refuses messages for now; undefined if it does not exist. */
async function whyRefused(connection: AmqpConnection, queue: string): Promise<AwayError | undefined> {
  try {
    if (await findQueue(connection, queue) === undefined) return undefined;
    const reason = connection.blocked ?? "it is full, or too few of its nodes are up";
    return new AwayError(`queue '${queue}' accepts no messages for now: ${reason}`);
  } catch (error) {
    if (error instanceof AwayError) return error;
    throw error;
  }
}

/** Why messages for a queue came back or were refused, if that is not final. */
async function whyAway(
  connection: AmqpConnection,
  queue: string,
  outcome: "returned" | "refused",
): Promise<AwayError | undefined> {
  // mqcat's own broker has one node: its queues are never away.
  if (connection.peeks || connection.blocked !== undefined) return undefined;
  try {
    if (await findQueue(connection, queue) === undefined) return undefined;
    if (outcome === "returned") return awayError(queue, "messages came back");
    const args = await queueArguments(connection, queue);
    if (args === undefined || String(args["x-overflow"]).startsWith("reject-publish")) return undefined;
    return awayError(
      queue,
      "too few of its nodes are up, or a policy limits its length, and the limit is reached",
    );
  } catch (error) {
    if (error instanceof AwayError) return error;
    throw error;
  }
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
