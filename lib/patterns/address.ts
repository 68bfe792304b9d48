/** The systems that addresses can name. It loads no client: start-up must not pay for systems that are not used. */
import { EndpointError } from "../errors.ts";

/** A system of brokers. */
export type BrokerSystem = "amqp" | "mqtt" | "stomp";

/** A row of the table of systems. */
interface SystemRow {
  /** The schemes of its URLs, also those that other tools use; the first is also the scheme of short addresses. */
  readonly schemes: readonly string[];
  /** The environment variable with the URL of the broker in use. */
  readonly variable: string;
}

/** The systems, and how addresses name them. */
export const BROKER_SYSTEMS: Readonly<Record<BrokerSystem, SystemRow>> = {
  amqp: {
    schemes: ["amqp", "amqps", "pyamqp", "rabbitmq", "amqp+ssl", "pyamqp+ssl"],
    variable: "AMQP_URL",
  },
  mqtt: { schemes: ["mqtt", "mqtts", "mqtt+ssl"], variable: "MQTT_URL" },
  stomp: { schemes: ["stomp", "stomps", "stomp+ssl"], variable: "STOMP_URL" },
};

/**
 * Returns the system of an address: of a URL, `amqp://host//jobs`, or of a short address, `amqp:jobs`. Short addresses of
 * a number only, `amqp:5672`, are not meant: they are a host and a port.
 *
 * @returns undefined for addresses of other schemes, and without one
 */
export function brokerSystemOf(address: string): BrokerSystem | undefined {
  const match = /^([a-z][a-z0-9+.-]*):(?:(\/\/)|(?!(?:\d+|\*)$))/i.exec(address);
  if (match === null) return undefined;
  const scheme = match[1]!.toLowerCase();
  const isUrl = match[2] !== undefined;
  const systems = Object.keys(BROKER_SYSTEMS) as BrokerSystem[];
  return systems.find((system) =>
    isUrl ? BROKER_SYSTEMS[system].schemes.includes(scheme) : system === scheme
  );
}

/**
 * Returns the name in a short address, `amqp:jobs`; undefined for a URL.
 *
 * @throws {EndpointError} it looks like a URL with a login that lacks a slash; the password must not become a name
 */
export function shortName(address: string): string | undefined {
  const match = /^([a-z][a-z0-9+.-]*):(?!\/\/)([^]*)$/i.exec(address);
  if (match === null) return undefined;
  const [, scheme, name] = match;
  if (/^\/?[^/@:]*:[^]*@/.test(name!)) {
    throw new EndpointError(
      `Cannot use the address '${scheme}:…': it has a login, but no '//' (try ${scheme}://user@host/…)`,
    );
  }
  return name;
}
