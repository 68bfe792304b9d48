/** What the URLs of all brokers have in common: `scheme://user:password@host:port,host:port/path?query`. */
import { EndpointError } from "../errors.ts";
import type { HostEndpoint } from "../transport/endpoint_types.ts";

/** The URLs of one protocol. */
export interface UrlKind {
  /** The scheme of URLs without one. */
  readonly scheme: string;
  /** The transport of each scheme, in lower case. */
  readonly schemes: Readonly<Record<string, "tcp" | "tls">>;
  /** The schemes, for errors: `amqp or amqps`. */
  readonly names: string;
  readonly ports: { readonly tcp: number; readonly tls: number };
  /** A valid URL, for errors. */
  readonly example: string;
  /** Whether the path may contain `#`, as a wildcard. Default: false */
  readonly hashInPath?: boolean;
}

/** The parts of a URL. User, password and path are decoded, but not the slashes of the path: see `decode`. */
export interface UrlParts {
  readonly endpoints: readonly HostEndpoint[];
  /** Undefined: the URL has no user. */
  readonly user: string | undefined;
  /** Undefined: the URL has no password. */
  readonly password: string | undefined;
  /** The path without its first slash, percent-encoded; undefined if the URL has none. */
  readonly path: string | undefined;
  readonly query: string | undefined;
  /** Decodes a percent-encoded part. @param what its name, for errors */
  decode(part: string, what: string): string;
  /** Makes the error for a part that cannot be used. It does not contain the password. */
  mistake(what: string, remedy: string): EndpointError;
}

/** The maximum number of hosts in a list. */
const MAX_HOSTS = 100;

/**
 * Splits a list of URLs. A comma before a scheme separates URLs; any other comma separates the hosts of a URL.
 *
 * @returns at least one URL, with at least one endpoint
 * @throws {EndpointError} a URL is malformed; the message does not contain the password
 */
export function splitBrokerUrls(text: string, kind: UrlKind): UrlParts[] {
  const urls = text.split(/,(?=[a-z][a-z0-9+.-]*:\/\/)/i).map((url) => splitOne(url, kind));
  const hosts = urls.reduce((sum, { endpoints }) => sum + endpoints.length, 0);
  if (hosts > MAX_HOSTS) {
    throw mistake("", `it names ${hosts} hosts: the limit is ${MAX_HOSTS}`, kind.example);
  }
  return urls;
}

/** Formats host and port as they are written in a URL. */
export function formatHost({ host, port }: HostEndpoint): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function splitOne(text: string, kind: UrlKind): UrlParts {
  const [, scheme = kind.scheme, rest] = /^(?:([a-z0-9+.-]+):\/\/)?([^]*)$/i.exec(text)!;
  const transport = kind.schemes[scheme.toLowerCase()];
  if (transport === undefined) {
    throw mistake(text, `the scheme '${scheme}' is not ${kind.names}`, kind.example);
  }
  const pattern = kind.hashInPath === true
    ? /^([^/?#]*)(?:\/([^?]*))?(?:\?([^#]*))?/
    : /^([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?/;
  const [whole, authority, path, query] = pattern.exec(rest!)!;
  // An '@' after the authority, or a '#', is most likely part of a password, and what precedes it is not a host.
  if (rest!.includes("@", authority!.length) || whole.length < rest!.length) {
    throw mistake(
      text,
      "the characters / ? # @ in a user, a password or another part must be percent-encoded",
      "%2F for /, %3F for ?, %23 for #, %40 for @",
    );
  }
  const decode = (part: string, what: string) => {
    try {
      return decodeURIComponent(part);
    } catch {
      throw mistake(text, `${what} has a % without two hexadecimal digits`, "%25 for a percent sign");
    }
  };
  const at = authority!.lastIndexOf("@");
  const [, user, password] = at < 0 ? [] : /^([^:]*)(?::([^]*))?$/.exec(authority!.slice(0, at))!;
  const hosts = authority!.slice(at + 1).split(",");
  // The variable of a shell is not set, perhaps: the broker of this machine is not meant.
  if (hosts.length > 1 && hosts.includes("")) {
    throw mistake(text, "a host of the list is empty", kind.example);
  }
  return {
    user: user === undefined ? undefined : decode(user, "the user"),
    password: password === undefined ? undefined : decode(password, "the password"),
    path,
    query,
    endpoints: hosts.map((host) => ({
      scheme: transport,
      ...hostAndPort(text, host, kind.ports[transport], kind.example),
    })),
    decode,
    mistake: (what, remedy) => mistake(text, what, remedy),
  };
}

function hostAndPort(
  text: string,
  address: string,
  usual: number,
  example: string,
): { host: string; port: number } {
  const match = /^(\[[0-9a-f:.]+\]|[^:[\]\s@]*)(?::(\d{1,5}))?$/i.exec(address);
  if (match === null) {
    const what = `'${withoutPort(address)}' is not a host and a port`;
    if (address.split(":").length <= 2) throw mistake(text, what, example);
    throw mistake(text, `${what}: an IPv6 address needs brackets`, `[::1]:${usual}`);
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
