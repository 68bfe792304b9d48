import { formatHost, splitBrokerUrls, type UrlKind, type UrlParts } from "../../link/broker_url.ts";
import { parametersOf, type UrlParameters } from "./url_parameters.ts";
import { formatEndpoint, type HostEndpoint, type InprocEndpoint } from "../../transport/endpoint.ts";

/** The address of a broker, with credentials. */
export interface BrokerAddress extends UrlParameters {
  /** A host, or `inproc` for a broker in this process. */
  readonly endpoint: HostEndpoint | InprocEndpoint;
  readonly user: string;
  readonly password: string;
  /** Whether the URL contains a password. */
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
  return splitBrokerUrls(text, KIND).flatMap(addressesOf);
}

/** Formats an address for messages and logs, without user and password. */
export function formatBroker({ endpoint, vhost }: BrokerAddress): string {
  if (endpoint.scheme === "inproc") return formatEndpoint(endpoint);
  const path = vhost === "/" ? "" : `/${encodeURIComponent(vhost)}`;
  return `${endpoint.scheme === "tls" ? "amqps" : "amqp"}://${formatHost(endpoint)}${path}`;
}

function addressesOf({ endpoints, user, password, path, query, decode, mistake }: UrlParts): BrokerAddress[] {
  // Celery writes `host//` for the virtual host '/', and `host//name` for '/name'.
  if (path?.includes("/", 1)) {
    throw mistake("a slash in the name of a virtual host must be written %2F", `${DEFAULT_URL}/%2Fname`);
  }
  const shared = {
    user: user ?? "guest",
    password: password ?? (user === undefined ? "guest" : ""),
    hasPassword: password !== undefined,
    vhost: decode(path ?? "", "the virtual host") || "/",
    ...parametersOf(query, mistake),
  };
  return endpoints.map((endpoint) => ({ ...shared, endpoint }));
}
