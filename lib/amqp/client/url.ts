import { formatHost, splitBrokerUrls, type UrlKind, type UrlParts } from "../../link/broker_url.ts";
import { parametersOf, type UrlParameters } from "./url_parameters.ts";
import { formatEndpoint, type HostEndpoint, type InprocEndpoint } from "../../transport/endpoint.ts";

/** The address of a broker, with credentials. */
export interface BrokerAddress extends UrlParameters {
  /** A host, or `inproc` for a broker in this process. */
  readonly endpoint: HostEndpoint | InprocEndpoint;
  readonly user: string;
  readonly password: string;
  /** Whether the password is known: the URL contains it, or has no user, so that it is the one of guest. */
  readonly hasPassword: boolean;
  readonly vhost: string;
}

/** The default address of a broker. */
export const DEFAULT_URL = "amqp://guest:guest@127.0.0.1:5672";

/** The schemes, also those of Celery's and other tools. */
const KIND: UrlKind = {
  scheme: "amqp",
  schemes: {
    amqp: "tcp",
    pyamqp: "tcp",
    rabbitmq: "tcp",
    amqps: "tls",
    "amqp+ssl": "tls",
    "pyamqp+ssl": "tls",
  },
  names: "amqp or amqps",
  ports: { tcp: 5672, tls: 5671 },
  example: DEFAULT_URL,
};

/**
 * Parses the URL of one or several brokers: `amqp://user:password@host:port/vhost`, or `amqps://…`; `host`, `host:port`
 * and `:port` are short forms of amqp. The schemes `pyamqp`, `rabbitmq` and `amqp+ssl` of other tools are accepted. Commas separate several hosts of a URL, or several URLs. All parts but the host
 * may be percent-encoded; a slash in the name of a virtual host must be: `%2F`. Default of the virtual host: `/`
 *
 * @returns at least one address, in the order of the text
 * @throws {EndpointError} the URL is malformed; the message does not contain the password
 *
 * @example Two hosts and a virtual host
 * ```ts
 * import { formatBroker, parseAmqpUrl } from "./url.ts";
 * const brokers = parseAmqpUrl("amqp://me:secret@one,two:5673/%2Fshop");
 * console.log(brokers.map(formatBroker)); // amqp://one:5672/%2Fshop, amqp://two:5673/%2Fshop
 * ```
 */
export function parseAmqpUrl(text: string): BrokerAddress[] {
  return splitBrokerUrls(text, KIND).flatMap((parts) => {
    const { path = "", mistake } = parts;
    // Celery writes `host//` for the virtual host '/', and `host//name` for '/name'.
    if (path.includes("/", 1)) {
      throw mistake("a slash in the name of a virtual host must be written %2F", `${DEFAULT_URL}/%2Fname`);
    }
    return addressesOf(parts, path);
  });
}

/** Something at a broker. */
export interface AmqpAddress {
  readonly brokers: readonly BrokerAddress[];
  /** The name of a queue or an exchange. */
  readonly name: string | undefined;
}

/**
 * Parses the URL of something at a broker: `amqp://user:password@host:port/vhost/name`, where the name is that of a queue
 * or an exchange. An empty virtual host is the default one: `amqp://host//jobs`. A list of URLs has the same name in each.
 *
 * @throws {EndpointError} the URL is malformed; the message does not contain the password
 */
export function parseAmqpAddress(text: string): AmqpAddress {
  const brokers: BrokerAddress[] = [];
  const names = new Set<string>();
  for (const parts of splitBrokerUrls(text, KIND)) {
    const { path = "", decode, mistake } = parts;
    const [vhost = "", name = "", ...rest] = path.split("/");
    if (rest.length > 0) {
      throw mistake(
        "a slash in the name of a virtual host, a queue or an exchange must be written %2F",
        "amqp://host/vhost/name",
      );
    }
    if (names.add(decode(name, "the name")).size > 1) {
      throw mistake("the addresses of one list have different names", "amqp://one,two//name");
    }
    brokers.push(...addressesOf(parts, vhost));
  }
  return { brokers, name: [...names][0] || undefined };
}

/** Formats an address for messages and logs, without user and password. */
export function formatBroker({ endpoint, vhost }: BrokerAddress): string {
  if (endpoint.scheme === "inproc") return formatEndpoint(endpoint);
  const path = vhost === "/" ? "" : `/${encodeURIComponent(vhost)}`;
  return `${endpoint.scheme === "tls" ? "amqps" : "amqp"}://${formatHost(endpoint)}${path}`;
}

/** @param vhost the virtual host, percent-encoded */
function addressesOf(
  { endpoints, user, password, query, decode, mistake }: UrlParts,
  vhost: string,
): BrokerAddress[] {
  const shared = {
    user: user ?? "guest",
    password: password ?? (user === undefined ? "guest" : ""),
    hasPassword: password !== undefined || user === undefined,
    vhost: decode(vhost, "the virtual host") || "/",
    ...parametersOf(query, mistake),
  };
  return endpoints.map((endpoint) => ({ ...shared, endpoint }));
}
