import net from "node:net";
import os from "node:os";

/**
 * Whether the `Host` of a request names this machine: a name of localhost, an IP address, the name that the API listens
 * on, or the machine's own name.
 *
 * A web page can let its own domain resolve to an address of this machine ("DNS rebinding"). A browser then treats the
 * API as a part of that site, sends no `Origin`, and shows the responses to the page. Only `Host` still has the domain.
 *
 * @param host the header: a name or an address, with or without a port
 * @param bound the name or address that the API listens on
 */
export function isOwnHost(host: string, bound: string): boolean {
  const name = host.toLowerCase().replace(/:\d*$/, "").replace(/\.$/, "");
  if (name.startsWith("[")) return name.endsWith("]") && net.isIPv6(name.slice(1, -1));
  if (name === "localhost" || name.endsWith(".localhost") || net.isIPv4(name)) return true;
  return name !== "*" && (name === bound.toLowerCase() || name === os.hostname().toLowerCase());
}
