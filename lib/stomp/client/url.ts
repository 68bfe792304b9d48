import { formatHost, splitBrokerUrls, type UrlKind, type UrlParts } from "../../link/broker_url.ts";
import type { HostEndpoint, InprocEndpoint } from "../../transport/endpoint_types.ts";

/** A STOMP server, with credentials. */
export interface StompServer {
  /** A host, or `inproc` for a broker in this process. */
  readonly endpoint: HostEndpoint | InprocEndpoint;
  readonly user: string;
  readonly password: string;
  /** Whether the password is known: the URL contains it, or has no user, so that it is the one of guest. */
  readonly hasPassword: boolean;
  /** The virtual host: the header `host`. */
  readonly vhost: string;
  /** The heart-beat interval in both directions, in seconds; 0 disables heart-beats. */
  readonly heartbeat: number;
  /** The time limit for connecting and logging in, in milliseconds. */
  readonly connectionTimeout?: number | undefined;
  /** The names of the parameters that have no effect. */
  readonly ignored?: readonly string[] | undefined;
}

/** A destination at a STOMP server, or at one of several. */
export interface StompAddress {
  readonly servers: readonly StompServer[];
  /** The destination with its leading slash, as a server reads it; "" if the URL has none. */
  readonly destination: string;
}

/** The default address of a STOMP server. */
export const DEFAULT_STOMP_URL = "stomp://guest:guest@127.0.0.1:61613";

const KIND: UrlKind = {
  scheme: "stomp",
  schemes: { stomp: "tcp", stomps: "tls", "stomp+ssl": "tls" },
  names: "stomp or stomps",
  ports: { tcp: 61613, tls: 61614 },
  example: DEFAULT_STOMP_URL,
  // `/topic/orders.#` has a wildcard.
  hashInPath: true,
};
const HEARTBEAT_S = 10;

/**
 * Parses the URL of one or several STOMP servers: `stomp://user:password@host:port/destination`, or `stomps://…`. Commas
 * separate several hosts of a URL, or several URLs. User, password and destination may be percent-encoded; a slash in a
 * name of the destination is written `%2F`.
 *
 * Parameters: `vhost` (default: `/`), `heartbeat` in seconds, and `connection_timeout` in milliseconds.
 *
 * @throws {EndpointError} the URL is malformed; the message does not contain the password
 *
 * @example A queue in the virtual host `shop`
 * ```ts
 * import { formatStomp, parseStompAddress } from "./url.ts";
 * const { servers, destination } = parseStompAddress("stomp://me:secret@localhost/queue/jobs?vhost=shop");
 * console.log(formatStomp(servers[0]!), destination); // stomp://localhost:61613?vhost=shop /queue/jobs
 * ```
 */
export function parseStompAddress(text: string): StompAddress {
  const servers: StompServer[] = [];
  const destinations = new Set<string>();
  for (const parts of splitBrokerUrls(text, KIND)) {
    // An encoded slash is part of a name, and stays encoded.
    const destination = (parts.path ?? "").split(/%2F/i)
      .map((part) => parts.decode(part, "the destination")).join("%2F");
    if (destinations.add(destination).size > 1) {
      throw parts.mistake(
        "the addresses of one list have different destinations",
        "stomp://one,two/queue/jobs",
      );
    }
    servers.push(...serversOf(parts));
  }
  const [destination] = destinations;
  return { servers, destination: destination ? `/${destination}` : "" };
}

/** Formats the address of a server for messages and logs, without user and password. */
export function formatStomp({ endpoint, vhost }: StompServer): string {
  if (endpoint.scheme === "inproc") return `inproc://${endpoint.name}`;
  const query = vhost === "/" ? "" : `?vhost=${encodeURIComponent(vhost)}`;
  return `${endpoint.scheme === "tls" ? "stomps" : "stomp"}://${formatHost(endpoint)}${query}`;
}

function serversOf({ endpoints, user, password, query, mistake }: UrlParts): StompServer[] {
  const integer = (name: string, value: string, most: number, unit: string, example: string) => {
    if (!/^\d{1,10}$/.test(value) || Number(value) > most) {
      throw mistake(`${name} '${value}' is not a number of ${unit}`, example);
    }
    return Number(value);
  };
  let vhost = "/";
  let heartbeat = HEARTBEAT_S;
  let connectionTimeout: number | undefined;
  const ignored = new Set<string>();
  for (const [name, value] of new URLSearchParams(query)) {
    switch (name) {
      case "vhost":
        vhost = value;
        break;
      case "heartbeat":
        heartbeat = integer(name, value, 65535, "seconds", "heartbeat=30");
        break;
      case "connection_timeout":
        connectionTimeout = integer(name, value, 2 ** 31 - 1, "milliseconds", `${name}=10000`) || undefined;
        break;
      default:
        ignored.add(name);
    }
  }
  const shared = {
    user: user ?? "guest",
    password: password ?? (user === undefined ? "guest" : ""),
    hasPassword: password !== undefined || user === undefined,
    vhost,
    heartbeat,
    connectionTimeout,
    ignored: ignored.size === 0 ? undefined : [...ignored],
  };
  return endpoints.map((endpoint) => ({ ...shared, endpoint }));
}
