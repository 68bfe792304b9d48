import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { isOwnHost } from "./host_header.ts";
import { PageError } from "./page_error.ts";

/** The header of all requests of the page. Pages of other sites cannot send it: their browser would ask first. */
export const PAGE_HEADER = "x-mqcat";

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
];

/** Headers of all responses. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": POLICY.join("; "),
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};

/** Whether the client is on this machine. */
export function isLocal({ socket }: IncomingMessage): boolean {
  return /^(127\.|::1$|::ffff:127\.)/.test(socket.remoteAddress ?? "");
}

/**
 * Checks the `Host` of requests from this machine: see `isOwnHost`. The standard password of `guest`, which every web page
 * knows, is not valid from elsewhere, and other machines can know this one by any name.
 *
 * @param bound the name or address that the server listens on
 * @throws {PageError} 403
 */
export function checkHost(request: IncomingMessage, bound: string): void {
  const { host } = request.headers;
  if (host === undefined || !isLocal(request) || isOwnHost(host, bound)) return;
  const reason = `the Host header '${host}' does not name this machine: use localhost or an IP address`;
  throw new PageError(403, "forbidden", reason);
}

/** Refuses requests of web pages, except our own. @throws {PageError} 403 */
export function checkOrigin(headers: IncomingHttpHeaders): void {
  const { origin, host = "" } = headers;
  // Browsers send it with requests of other sites, together with the password that they have stored.
  if (origin === undefined) return;
  if (headers[PAGE_HEADER] === undefined || hostOf(origin) !== host.toLowerCase()) {
    throw new PageError(403, "forbidden", "no requests of web pages of other sites");
  }
}

/** The host of an origin, as in the header `Host`. */
function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}
