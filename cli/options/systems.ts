/** The system that a command line is about, and the options that this system cannot obey. */
import { BROKER_SYSTEMS, type BrokerSystem, brokerSystemOf } from "../../lib/patterns/address.ts";
import { UsageError } from "../app/errors.ts";

/** A messaging system. */
export type System = "zmq" | BrokerSystem;

/** The names of the systems in messages. */
const TITLES: Readonly<Record<System, string>> = {
  zmq: "ZeroMQ",
  amqp: "AMQP",
  mqtt: "MQTT",
  stomp: "STOMP",
};

/** The warning that properties and headers have no place in a system. */
export function unsentParts(system: System, names: readonly string[]): string {
  return `${TITLES[system]} has no place for ${names.join(", ")} of messages: they are not sent`;
}

const ZMQ: readonly System[] = ["zmq"];
const AMQP: readonly System[] = ["amqp"];
const MQTT: readonly System[] = ["mqtt"];
const BROKERS: readonly System[] = ["amqp", "mqtt", "stomp"];

/** The systems that can obey an option, and why the others cannot. */
interface Rule {
  readonly flag: string;
  readonly systems: readonly System[];
  readonly reason: string;
}

const DIALS = "mqcat always connects to a broker, so give its address as an operand";
const KEEPS = "a broker takes messages whether or not a receiver is connected";
const LOGIN = "the login is in the address, as in amqp://user@host, and --password-file has the password";
const ENCRYPTS = "brokers are encrypted by TLS, as in amqps://host";
const ROUTING = "brokers have no routing ids";
const NO_HEADERS = "ZeroMQ messages are frames without headers and properties";
const NOT_SETTLED = "ZeroMQ messages are not acknowledged";

/** The options that only some systems can obey, by their key in `values`. The other options are for all systems. */
export const RULES: Readonly<Record<string, Rule>> = {
  bind: { flag: "--bind", systems: ZMQ, reason: DIALS },
  connect: { flag: "--connect", systems: ZMQ, reason: DIALS },
  waitPeers: { flag: "--wait-peers", systems: ZMQ, reason: KEEPS },
  shuffle: {
    flag: "--shuffle",
    systems: BROKERS,
    reason: "a ZeroMQ socket connects to all its endpoints",
  },
  nearLeader: { flag: "--near-leader", systems: AMQP, reason: "only the queues of RabbitMQ have a leader" },
  http: {
    flag: "--http",
    systems: AMQP,
    reason: "it is the HTTP API of RabbitMQ, which is asked about queues",
  },
  transient: {
    flag: "--transient",
    systems: ZMQ,
    reason: "only the broker is connected, and -w ends an idle command",
  },
  hwm: { flag: "--hwm", systems: ZMQ, reason: "the broker's queues have limits of their own" },
  onFull: { flag: "--on-full", systems: ZMQ, reason: "the broker decides what happens when a queue is full" },
  conflate: { flag: "--conflate", systems: ZMQ, reason: "every message is confirmed or acknowledged" },
  heartbeat: {
    flag: "--heartbeat",
    systems: ZMQ,
    reason: "the client and the broker agree on an interval (in AMQP: ?heartbeat=SECONDS)",
  },
  curveServer: { flag: "--curve-server", systems: ZMQ, reason: ENCRYPTS },
  curveServerKey: { flag: "--curve-server-key", systems: ZMQ, reason: ENCRYPTS },
  curveKey: { flag: "--curve-key", systems: ZMQ, reason: ENCRYPTS },
  curveAllow: { flag: "--curve-allow", systems: ZMQ, reason: ENCRYPTS },
  user: { flag: "--user", systems: ZMQ, reason: LOGIN },
  plainUsers: { flag: "--plain-users", systems: ZMQ, reason: LOGIN },
  origin: { flag: "--allow-origin", systems: ZMQ, reason: "no web page connects to mqcat" },
  identity: { flag: "--identity", systems: ZMQ, reason: ROUTING },
  probeRouter: { flag: "--probe-router", systems: ZMQ, reason: ROUTING },
  correlate: {
    flag: "--correlate",
    systems: ZMQ,
    reason: "requests to brokers always have a correlation id",
  },
  header: { flag: "--header", systems: BROKERS, reason: NO_HEADERS },
  match: { flag: "--header", systems: AMQP, reason: "only AMQP brokers have headers exchanges" },
  property: { flag: "--property", systems: BROKERS, reason: NO_HEADERS },
  prefetch: { flag: "--prefetch", systems: BROKERS, reason: NOT_SETTLED },
  maxAttempts: { flag: "--max-attempts", systems: BROKERS, reason: NOT_SETTLED },
  onError: { flag: "--on-error", systems: BROKERS, reason: NOT_SETTLED },
  force: { flag: "--force", systems: ["amqp", "stomp"], reason: "only messages of queues can be requeued" },
  exchange: { flag: "--exchange", systems: AMQP, reason: "only AMQP brokers have exchanges" },
  mandatory: {
    flag: "--mandatory",
    systems: AMQP,
    reason: "only AMQP brokers return messages that reach no queue",
  },
  declare: {
    flag: "--declare",
    systems: ["amqp", "stomp"],
    reason: "it has no queues that a client creates",
  },
  drain: {
    flag: "--drain",
    systems: AMQP,
    reason: "only an AMQP broker reports that a queue is empty, so use -n or -w to end",
  },
  offset: { flag: "--offset", systems: AMQP, reason: "only RabbitMQ has streams" },
  qos: { flag: "--qos", systems: MQTT, reason: "only MQTT has levels of quality of service" },
  retain: { flag: "--retain", systems: MQTT, reason: "only MQTT has retained messages" },
  clientId: { flag: "--client-id", systems: MQTT, reason: "only MQTT has client identifiers" },
  group: { flag: "--group", systems: MQTT, reason: "only MQTT has shared subscriptions" },
};

/**
 * Refuses the options that a system cannot obey.
 *
 * @param given the system, or those of both sides of a bridge: then one of them must be able to obey
 * @param values the values of the options by their keys, as an action receives them
 * @throws {UsageError} an option was given that the system cannot obey; the message has the reason
 */
export function refuseOptions(
  given: System | readonly System[],
  values: Readonly<Record<string, unknown>>,
): void {
  const present = [given].flat();
  for (const [key, { flag, systems, reason }] of Object.entries(RULES)) {
    if (present.some((system) => systems.includes(system)) || !isGiven(values[key])) continue;
    const others = systems.map((name) => TITLES[name]).join(", ");
    const names = [...new Set(present)].map((system) => TITLES[system]).join(" and ");
    throw new UsageError(`${flag} is for ${others}, not for ${names}: ${reason}`);
  }
}

/** Whether an option was given. */
export function isGiven(value: unknown): boolean {
  return value !== undefined && !(Array.isArray(value) && value.length === 0);
}

/** The address of a broker on the command line, and its system. */
export interface BrokerOperand {
  readonly system: BrokerSystem;
  /** The address: a URL, or a short form such as `amqp:jobs`. */
  readonly address: string;
}

/**
 * Finds the address of a broker among the operands, and refuses the options that its system cannot obey; without such an
 * address, those that ZeroMQ cannot obey.
 *
 * @returns undefined when the command is about ZeroMQ
 * @throws {UsageError} an option is out of place, or an address of a broker is not the only address
 */
export function brokerOperand(
  command: string,
  values: Readonly<Record<string, unknown>>,
  operands: readonly string[],
): BrokerOperand | undefined {
  const found = operands.map((operand) => ({
    operand,
    system: brokerSystemOf(operand.replace(/^[@>]/, "")),
  }));
  const first = found.find(({ system }) => system !== undefined);
  if (first?.system === undefined) {
    refuseOptions("zmq", values);
    return undefined;
  }
  const { operand, system } = first;
  const { schemes: [scheme] } = BROKER_SYSTEMS[system];
  if (operand.startsWith("@")) {
    throw new UsageError(
      `@${scheme}:… would listen, but mqcat connects to brokers (queue serve is a broker)`,
    );
  }
  if (operands.length > 1) {
    throw new UsageError(
      `${command} takes one address of a broker and no others (${scheme}://one,two/… are several hosts of a cluster; ` +
        "proxy joins systems)",
    );
  }
  refuseOptions(system, values);
  return { system, address: operand.replace(/^>/, "") };
}
