import { EndpointError } from "../../errors.ts";
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

const PORTS = { tcp: 5672, tls: 5671 } as const;
/** The schemes, also those of Celery's and other tools. */
const SCHEMES: Readonly<Record<string, keyof typeof PORTS>> = {
  amqp: "tcp",
  pyamqp: "tcp",
  rabbitmq: "tcp",
  amqps: "tls",
  "amqp+ssl": "tls",
  "pyamqp+ssl": "tls",
};
/** The maximum number of hosts in a list. */
const MAX_HOSTS = 100;

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
  // A comma before a scheme separates URLs; any other comma separates hosts.
  const brokers = text.split(/,(?=[a-z][a-z0-9+.-]*:\/\/)/i).flatMap(parseOne);
  if (brokers.length > MAX_HOSTS) {
    throw mistake("", `it names ${brokers.length} hosts: the limit is ${MAX_HOSTS}`, DEFAULT_URL);
  }
  return brokers;
}

/** Formats an address for messages and logs, without user and password. */
export function formatBroker({ endpoint, vhost }: BrokerAddress): string {
  if (endpoint.scheme === "inproc") return formatEndpoint(endpoint);
  const host = endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host;
  const path = vhost === "/" ? "" : `/${encodeURIComponent(vhost)}`;
  return `${endpoint.scheme === "tls" ? "amqps" : "amqp"}://${host}:${endpoint.port}${path}`;
}

function parseOne(text: string): BrokerAddress[] {
  const [, scheme = "amqp", rest] = /^(?:([a-z0-9+.-]+):\/\/)?([^]*)$/i.exec(text)!;
  const transport = SCHEMES[scheme.toLowerCase()];
  if (transport === undefined) {
    throw mistake(text, `the scheme '${scheme}' is not amqp or amqps`, DEFAULT_URL);
  }
  const [whole, authority, path, query] = /^([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?/.exec(rest!)!;
  // An '@' after the authority, or a '#', is most likely part of a password, and what precedes it is not a host.
  if (rest!.includes("@", authority!.length) || whole.length < rest!.length) {
    throw mistake(
      text,
      "the characters / ? # @ in a user, a password or another part must be percent-encoded",
      "%2F for /, %3F for ?, %23 for #, %40 for @",
    );
  }
  // Celery writes `host//` for the virtual host '/', and `host//name` for '/name'.
  if (path?.includes("/", 1)) {
    throw mistake(
      text,
      "a slash in the name of a virtual host must be written %2F",
      `${DEFAULT_URL}/%2Fname`,
    );
  }
  const at = authority!.lastIndexOf("@");
  const [, user = "guest", password] = at < 0 ? [] : /^([^:]*)(?::([^]*))?$/.exec(authority!.slice(0, at))!;
  const decode = (part: string, what: string) => {
    try {
      return decodeURIComponent(part);
    } catch {
      throw mistake(text, `${what} has a % without two hexadecimal digits`, "%25 for a percent sign");
    }
  };
  const shared = {
    user: decode(user, "the user"),
    password: decode(password ?? (at < 0 ? "guest" : ""), "the password"),
    hasPassword: password !== undefined,
    vhost: decode(path ?? "", "the virtual host") || "/",
    ...parametersOf(query, (what, remedy) => mistake(text, what, remedy)),
  };
  return authority!.slice(at + 1).split(",").map((host) => ({
    ...shared,
    endpoint: { scheme: transport, ...hostAndPort(text, host, PORTS[transport]) },
  }));
}

function hostAndPort(text: string, address: string, usual: number): { host: string; port: number } {
  const match = /^(\[[0-9a-f:.]+\]|[^:[\]\s@]*)(?::(\d{1,5}))?$/i.exec(address);
  if (match === null) {
    const remedy = address.split(":").length > 2 ? "an IPv6 address needs brackets: [::1]:5672" : DEFAULT_URL;
    throw mistake(text, `'${withoutPort(address)}' is not a host and a port`, remedy);
  }
  const port = match[2] === undefined ? usual : Number(match[2]);
  if (port < 1 || port > 65535) throw mistake(text, `${port} is not a port`, "a number from 1 to 65535");
  return { host: match[1]!.replace(/^\[|\]$/g, "") || "127.0.0.1", port };
}

function mistake(text: string, what: string, remedy: string): EndpointError {
  const url = text === "" ? "" : ` '${redact(text)}'`;
  return new EndpointError(`Cannot use the URL${url}: ${what} (try ${remedy})`);
}

/** Removes what may be a password: everything before the last `@`, else everything after a port that is not a number. */
function redact(text: string): string {
  const scheme = /^(?:[a-z0-9+.-]+:\/\/)?/i.exec(text)![0];
  const at = text.lastIndexOf("@");
  return at < 0
    ? scheme + withoutPort(text.slice(scheme.length))
    : `${scheme}…@${withoutPort(text.slice(at + 1))}`;
}

/** Removes everything from a port on that is not a number: it may be a password. */
function withoutPort(address: string): string {
  const colon = /^(?:\[[^\]]*\]|[^:/?#,])*:(?!\d*(?:[,/?#]|$))/.exec(address);
  return colon === null || /^[0-9a-f:.]*:[0-9a-f:.]*$/i.test(address) ? address : `${colon[0]}…`;
}
