import { dialFirst, patiently as repeat } from "../../link/dial.ts";
import type { LinkOptions } from "../../link/options.ts";
import type { Protocol } from "../../link/protocol.ts";
import { AmqpConnection } from "./connection.ts";
import { endsLink } from "./errors.ts";
import { handshake } from "./handshake.ts";
import { type BrokerAddress, formatBroker } from "./url.ts";

export type {
  ClientOptions as AmqpOptions,
  LinkEvent as AmqpEvent,
  LinkOptions,
} from "../../link/options.ts";

const MAX_MESSAGE = 128 * 2 ** 20;

/** How links log in to AMQP brokers. */
export const AMQP: Protocol<BrokerAddress, AmqpConnection> = {
  format: formatBroker,
  isPermanent: endsLink,
  async login(attempt, broker, { maxMessageSize }) {
    const stream = await attempt.dial();
    const tuned = await handshake(stream, broker, attempt.remaining());
    return new AmqpConnection(stream, tuned, maxMessageSize ?? MAX_MESSAGE);
  },
  watch(connection, report) {
    const onBlocked = (reason: string | undefined) => report({ type: "blocked", reason });
    connection.events.onBlocked = onBlocked;
    if (connection.blocked !== undefined) onBlocked(connection.blocked);
  },
};

/**
 * Connects to the first broker of a list that accepts the connection.
 *
 * @throws {RefusedError | IncompatiblePeerError | ProtocolError | AmqpError} a broker refused the connection
 * @throws {UnreachableError | HandshakeTimeoutError} no broker answered
 */
export function connectBroker(
  brokers: readonly BrokerAddress[],
  options: LinkOptions = {},
): Promise<AmqpConnection> {
  return dialFirst(AMQP, brokers, options);
}

/** Repeats `work` after temporary errors, for `options.patience` milliseconds. */
export function patiently<T>(options: LinkOptions, work: () => Promise<T>): Promise<T> {
  return repeat(options, endsLink, work);
}
