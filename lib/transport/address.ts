import { lookup } from "node:dns/promises";
import os from "node:os";
import { EndpointError, UnreachableError } from "../errors.ts";

/** Resolves a host to its addresses, IPv4 first: the order of libzmq, which uses IPv4 unless IPv6 is turned on. */
export async function resolve(host: string): Promise<string[]> {
  if (isAddress(host)) return [host];
  try {
    const addresses = await lookup(host, { all: true });
    addresses.sort((a, b) => a.family - b.family);
    return addresses.map((entry) => entry.address);
  } catch (error) {
    throw new UnreachableError(`The host name '${host}' does not resolve`, { cause: error });
  }
}

/**
 * Resolves a host to an address of this machine. For a source, `*` is every IPv4 interface (`::` is every interface of
 * both families); the name of an interface is its first address, preferably IPv4.
 *
 * @throws {EndpointError} there is no interface and no host of that name
 */
export async function localAddress(host: string): Promise<string> {
  if (host === "*") return "0.0.0.0";
  if (isAddress(host)) return host;
  const own = interfaceAddress(host);
  if (own !== undefined) return own;
  try {
    return (await resolve(host))[0]!;
  } catch (error) {
    throw new EndpointError(`There is neither an interface nor a host '${host}'`, { cause: error });
  }
}

/** The first address of an interface, preferably IPv4; undefined when there is no interface of that name. */
export function interfaceAddress(name: string): string | undefined {
  const addresses = os.networkInterfaces()[name];
  return (addresses?.find(({ family }) => family === "IPv4") ?? addresses?.[0])?.address;
}

/**
 * Finds the interface with this name or address, in the form that the system takes for multicast.
 *
 * @throws {EndpointError} there is no such interface, or it has no address of the family
 */
export function multicastInterface(host: string, family: 4 | 6): string {
  for (const [name, addresses] of Object.entries(os.networkInterfaces())) {
    const own = addresses?.filter((entry) => entry.family === `IPv${family}`) ?? [];
    if (own.length === 0) continue;
    // The system identifies an interface by its name for IPv6, by its address for IPv4.
    if (name === host) return family === 6 ? `::%${name}` : own[0]!.address;
    if (own.some(({ address }) => address === host)) return family === 6 ? `::%${name}` : host;
  }
  throw new EndpointError(`there is no interface '${host}' with an IPv${family} address`);
}

/** Whether a host is an IP address, not a name. */
export function isAddress(host: string): boolean {
  return /^[\d.]+$|:/.test(host);
}
