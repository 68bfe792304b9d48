import { EndpointError } from "../../errors.ts";
import type { HostEndpoint, Scheme } from "../endpoint_types.ts";

/** Parses `host:port`, after libzmq's `source:port;` (tcp) or `interface;` (udp) if the address has one. */
export function parseHostEndpoint(
  scheme: HostEndpoint["scheme"],
  address: string,
  text: string,
): HostEndpoint {
  const at = address.indexOf(";");
  const main = { scheme, ...parseHostAndPort(scheme, address.slice(at + 1), text) };
  if (at < 0) return main;
  const from = address.slice(0, at);
  if (from === "") throw mistake(text, "the source before ';' is missing", `${scheme}://${address.slice(1)}`);
  // libzmq insists on a port here; without one we take any.
  const withoutPort = !from.includes(":") || from.endsWith("]");
  return { ...main, source: parseHostAndPort(scheme, withoutPort ? `${from}:0` : from, text) };
}

/** Formats what `parseHostEndpoint` parses. */
export function formatHostEndpoint({ scheme, source, host, port }: HostEndpoint): string {
  const from = source === undefined
    ? ""
    : `${formatHost(source.host)}${scheme === "udp" ? "" : `:${source.port}`};`;
  return `${scheme}://${from}${formatHost(host)}:${port}`;
}

/**
 * Parses `host:port`, with brackets around an IPv6 address.
 *
 * @param text the whole endpoint, for the error
 */
export function parseHostAndPort(
  scheme: Scheme,
  address: string,
  text: string,
): { host: string; port: number } {
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

/** Puts brackets around an IPv6 address. */
export function formatHost(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/**
 * Makes the error for a malformed endpoint: the text, the problem, and an endpoint that would be accepted. The text may be
 * a mistyped URL of a broker, such as `ampq://user:password@host`: then the error shows no part of the login.
 */
export function mistake(text: string, problem: string, remedy: string): EndpointError {
  const hidden = text.replace(/^([a-z][a-z0-9+.-]*:\/+)[^:]*:[^]*@|^[^/@:]*:(?!\/)[^]*@/i, "$1…@");
  const [what, better] = hidden === text
    ? [problem, remedy]
    : ["only URLs of brokers have a user and a password", "amqp://, mqtt:// or stomp://"];
  return new EndpointError(`Cannot use endpoint '${hidden}': ${what} (try ${better})`);
}
