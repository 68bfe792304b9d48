import { EndpointError } from "../errors.ts";

/** The transports that an endpoint can name. */
export type Scheme = "tcp" | "ipc" | "inproc" | "tls" | "unix" | "udp" | "ws" | "wss";

/** An address of this machine, the name of one of its interfaces, or `*`; port 0 is any free one. */
export interface SourceAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * An address with a host and a port; `port` is 0 for any free one. `host` may be `*`, for every interface, or an
 * interface's name, for its address, when it is bound.
 */
export interface HostEndpoint {
  readonly scheme: "tcp" | "tls" | "udp";
  readonly host: string;
  readonly port: number;
  /** What a tcp connection comes from; the interface that udp's multicast goes through. */
  readonly source?: SourceAddress;
}

/** A WebSocket: where, and the path that is asked for there. */
export interface WebEndpoint {
  readonly scheme: "ws" | "wss";
  readonly host: string;
  readonly port: number;
  /** With its slash; `/` unless told. */
  readonly path: string;
}

/** A Unix socket: a path in the file system, `@name` in Linux's abstract namespace, or `*`, to bind any path. */
export interface PathEndpoint {
  readonly scheme: "ipc" | "unix";
  readonly path: string;
}

/** A name inside this process. */
export interface InprocEndpoint {
  readonly scheme: "inproc";
  readonly name: string;
}

/** Where to bind or connect. */
export type Endpoint = HostEndpoint | WebEndpoint | PathEndpoint | InprocEndpoint;

/** `sun_path` holds 108 bytes, one of them the final NUL (unix(7)). */
const MAX_PATH_BYTES = 107;

/**
 * Parses an endpoint.
 *
 * @param text `scheme://address`, or the short forms `host:port` and `:port`, which are tcp; `:port` is loopback.
 * @returns the endpoint; port `*` becomes 0
 * @throws {EndpointError} which names the text, the mistake and the remedy
 *
 * @example Short and long forms
 * ```ts
 * import { parseEndpoint } from "../../mod.ts";
 * console.assert(parseEndpoint(":5555").scheme === "tcp");
 * console.assert(parseEndpoint("ipc:///tmp/feed").scheme === "ipc");
 * ```
 */
export function parseEndpoint(text: string): Endpoint {
  const at = text.indexOf("://");
  if (at < 0) return parseShortForm(text);
  const scheme = text.slice(0, at);
  const address = text.slice(at + 3);
  switch (scheme) {
    case "tcp":
    case "tls":
    case "udp":
      return parseHost(scheme, address, text);
    case "ws":
    case "wss":
      return parseWeb(scheme, address, text);
    case "ipc":
    case "unix":
      return parsePath(scheme, address, text);
    case "inproc":
      if (address === "") throw mistake(text, "the name after 'inproc://' is missing", "inproc://work");
      return { scheme, name: address };
    default:
      throw mistake(text, `there is no transport '${scheme}'`, "tcp://127.0.0.1:5555 or ipc:///tmp/feed");
  }
}

/** The endpoint in its long form, as every peer and every message of ours writes it. */
export function formatEndpoint(endpoint: Endpoint): string {
  switch (endpoint.scheme) {
    case "ipc":
    case "unix":
      return `${endpoint.scheme}://${endpoint.path}`;
    case "inproc":
      return `inproc://${endpoint.name}`;
    case "ws":
    case "wss":
      return `${endpoint.scheme}://${formatHost(endpoint.host)}:${endpoint.port}${endpoint.path}`;
    default: {
      const { scheme, source, host, port } = endpoint;
      const from = source === undefined
        ? ""
        : `${formatHost(source.host)}${scheme === "udp" ? "" : `:${source.port}`};`;
      return `${scheme}://${from}${formatHost(host)}:${port}`;
    }
  }
}

/** Whether an endpoint leaves open what only binding can settle: any port, any path, or every interface. */
export function isWildcard(endpoint: Endpoint): boolean {
  if ("host" in endpoint) return endpoint.port === 0 || endpoint.host === "*";
  return "path" in endpoint && endpoint.path === "*";
}

/** Whether two ends with this endpoint are on one machine by construction, so that no network can listen in. */
export function isLoopback(endpoint: Endpoint): boolean {
  if (!("host" in endpoint)) return true;
  return endpoint.host === "localhost" || endpoint.host === "::1" || /^127\.[\d.]+$/.test(endpoint.host);
}

function parseShortForm(text: string): Endpoint {
  if (text === "") throw mistake(text, "it is empty", ":5555 or tcp://127.0.0.1:5555");
  if (!text.includes(":")) {
    const meant = text.includes("/") ? `ipc://${text}` : /^\d+$/.test(text) ? `:${text}` : `${text}:5555`;
    throw mistake(text, "it has neither a transport nor a port", meant);
  }
  if (/^[./]/.test(text)) throw mistake(text, "a path needs a transport", `ipc://${text}`);
  return parseHost("tcp", text, text);
}

/** `host:port`, behind libzmq's `source:port;` (tcp) or `interface;` (udp) where there is one. */
function parseHost(scheme: HostEndpoint["scheme"], address: string, text: string): HostEndpoint {
  const at = address.indexOf(";");
  const main = { scheme, ...parseHostAndPort(scheme, address.slice(at + 1), text) };
  if (at < 0) return main;
  const from = address.slice(0, at);
  if (from === "") throw mistake(text, "the source before ';' is missing", `${scheme}://${address.slice(1)}`);
  // Without a port it is any, which only libzmq insists on being told.
  const withoutPort = !from.includes(":") || from.endsWith("]");
  return { ...main, source: parseHostAndPort(scheme, withoutPort ? `${from}:0` : from, text) };
}

/** `host:port/path`; without a port it is that of HTTP or HTTPS. */
function parseWeb(scheme: WebEndpoint["scheme"], address: string, text: string): WebEndpoint {
  const slash = address.indexOf("/");
  const authority = slash < 0 ? address : address.slice(0, slash);
  const path = slash < 0 ? "/" : address.slice(slash);
  if (!/^[\x21-\x7e]+$/.test(path)) {
    throw mistake(
      text,
      "the path has characters that need percent-encoding",
      `${scheme}://${authority}${encodeURI(path)}`,
    );
  }
  const hasPort = /:[^\]]*$/.test(authority);
  const usual = scheme === "ws" ? 80 : 443;
  if (authority === "") throw mistake(text, "the host is missing", `${scheme}://127.0.0.1:5555${path}`);
  return { scheme, ...parseHostAndPort(scheme, hasPort ? authority : `${authority}:${usual}`, text), path };
}

function parseHostAndPort(scheme: Scheme, address: string, text: string): { host: string; port: number } {
  const colon = address.lastIndexOf(":");
  let host = colon < 0 ? address : address.slice(0, colon);
  const bracketed = host.startsWith("[");
  if (/[\s/@;]/.test(host)) throw mistake(text, `'${host}' is not a host name`, `${scheme}://127.0.0.1:5555`);
  if (!bracketed && host.includes(":") && !host.endsWith("]")) {
    // '::1' is an address without a port; in '::1:5555' the last number is most likely meant as one.
    const meant = host.endsWith(":") ? `[${address}]:5555` : `[${host}]${address.slice(colon)}`;
    throw mistake(text, "an IPv6 address needs brackets", `${scheme}://${meant}`);
  }
  if (colon < 0 || address.endsWith("]") || address.endsWith(":")) {
    throw mistake(
      text,
      "the port is missing",
      `${scheme}://${address.replace(/:$/, "") || "127.0.0.1"}:5555`,
    );
  }
  if (bracketed !== host.endsWith("]")) {
    throw mistake(
      text,
      "the brackets of the IPv6 address do not match",
      `${scheme}://[::1]${address.slice(colon)}`,
    );
  }
  if (bracketed) host = host.slice(1, -1);
  if (bracketed && !host.includes(":")) {
    throw mistake(text, `'${host}' is not an IPv6 address`, `${scheme}://[::1]${address.slice(colon)}`);
  }
  return { host: host || "127.0.0.1", port: parsePort(address.slice(colon + 1), text) };
}

function parsePort(text: string, whole: string): number {
  if (text === "*") return 0;
  if (!/^\d+$/.test(text)) throw mistake(whole, `'${text}' is not a port number`, "a number from 0 to 65535");
  const port = Number(text);
  if (port > 65535) throw mistake(whole, `port ${text} is over 65535`, "a number from 0 to 65535");
  return port;
}

function parsePath(scheme: PathEndpoint["scheme"], path: string, text: string): PathEndpoint {
  if (path === "" || path === "@") throw mistake(text, "the path is missing", `${scheme}:///tmp/feed`);
  if (path.includes("\0")) throw mistake(text, "the path has a NUL byte in it", `${scheme}:///tmp/feed`);
  const bytes = new TextEncoder().encode(path).length;
  if (bytes > MAX_PATH_BYTES) {
    throw mistake(
      text,
      `the path has ${bytes} bytes and a Unix socket takes ${MAX_PATH_BYTES}`,
      `${scheme}:///tmp/feed`,
    );
  }
  return { scheme, path };
}

function formatHost(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

function mistake(text: string, what: string, remedy: string): EndpointError {
  return new EndpointError(`Cannot use endpoint '${text}': ${what} (try ${remedy})`);
}
