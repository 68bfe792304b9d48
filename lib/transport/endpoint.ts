import type { Endpoint } from "./endpoint_types.ts";
import { findTransport, transportOf } from "./schemes/table.ts";
import { mistake, parseHostEndpoint } from "./schemes/text.ts";

export type {
  Endpoint,
  HostEndpoint,
  InprocEndpoint,
  PathEndpoint,
  Scheme,
  SourceAddress,
  WebEndpoint,
} from "./endpoint_types.ts";

/**
 * Parses an endpoint.
 *
 * @param text `scheme://address`, or a short form of tcp: `host:port`, or `:port` for 127.0.0.1
 * @returns the endpoint; port `*` becomes 0
 * @throws {EndpointError} the text is malformed; the message names the text, the mistake and the remedy
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
  const scheme = text.slice(0, at).toLowerCase();
  const transport = findTransport(scheme);
  if (transport === undefined) {
    throw mistake(text, `there is no transport '${scheme}'`, "tcp://127.0.0.1:5555 or ipc:///tmp/feed");
  }
  return transport.parse(scheme as Endpoint["scheme"], text.slice(at + 3), text);
}

/** Parses an endpoint that is still text. */
export function toEndpoint(endpoint: string | Endpoint): Endpoint {
  return typeof endpoint === "string" ? parseEndpoint(endpoint) : endpoint;
}

/**
 * Formats an endpoint in its long form, which `parseEndpoint` parses.
 *
 * @example The long form of a short one
 * ```ts
 * import { formatEndpoint, parseEndpoint } from "../../mod.ts";
 * console.assert(formatEndpoint(parseEndpoint(":5555")) === "tcp://127.0.0.1:5555");
 * ```
 */
export function formatEndpoint(endpoint: Endpoint): string {
  return transportOf(endpoint).format(endpoint);
}

/** Whether an endpoint leaves the port, the path or the interface open, so that it can only be bound. */
export function isWildcard(endpoint: Endpoint): boolean {
  if ("host" in endpoint) return endpoint.port === 0 || endpoint.host === "*";
  return "path" in endpoint && endpoint.path === "*";
}

/** Whether both ends of this endpoint are on one machine, so that nobody can listen in on the network. */
export function isLoopback(endpoint: Endpoint): boolean {
  if (!("host" in endpoint)) return true;
  return endpoint.host === "localhost" || endpoint.host === "::1" || /^127\.[\d.]+$/.test(endpoint.host);
}

function parseShortForm(text: string): Endpoint {
  if (text.trim() === "") throw mistake(text, "it is empty", ":5555 or tcp://127.0.0.1:5555");
  const [, scheme, rest] = /^([a-z]+):\/?(.*)$/i.exec(text) ?? [];
  if (scheme !== undefined && rest === "" && /^(ipc|unix)$/i.test(scheme)) {
    throw mistake(text, "the path is missing", `${scheme.toLowerCase()}:///tmp/feed`);
  }
  if (scheme !== undefined && /[:/]/.test(rest!) && findTransport(scheme.toLowerCase()) !== undefined) {
    const path = text.slice(scheme.length + 1);
    const address = /^(ipc|unix)$/i.test(scheme) ? path : rest!;
    throw mistake(text, `'://' is missing after '${scheme}'`, `${scheme.toLowerCase()}://${address}`);
  }
  if (!text.includes(":")) {
    const meant = text.includes("/") ? `ipc://${text}` : /^\d+$/.test(text) ? `:${text}` : `${text}:5555`;
    throw mistake(text, "it has neither a transport nor a port", meant);
  }
  if (/^[./]/.test(text)) throw mistake(text, "a path needs a transport", `ipc://${text}`);
  return parseHostEndpoint("tcp", text, text);
}
