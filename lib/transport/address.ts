import { lookup } from "node:dns/promises";
import os from "node:os";
import { EndpointError, UnreachableError } from "../errors.ts";

/** Every address of a host, IPv4 first: the order in which libzmq, with IPv6 off, would look. */
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
 * The address of this machine that a host means: `*` is every IPv4 interface, as in libzmq (`::` is every one of both
 * families), and the name of an interface stands for its first address, an IPv4 one if it has any.
 */
export async function localAddress(host: string): Promise<string> {
  if (host === "*") return "0.0.0.0";
  if (isAddress(host)) return host;
  return interfaceAddress(host) ?? (await resolve(host))[0]!;
}

/** The first address of an interface, or undefined when there is no interface of that name. */
export function interfaceAddress(name: string): string | undefined {
  const addresses = os.networkInterfaces()[name];
  return (addresses?.find(({ family }) => family === "IPv4") ?? addresses?.[0])?.address;
}

/**
 * The interface with this name or address, in the form in which the system takes it for multicast of a family.
 *
 * @throws {EndpointError} there is none
 */
export function multicastInterface(host: string, family: 4 | 6): string {
  for (const [name, addresses] of Object.entries(os.networkInterfaces())) {
    const own = addresses?.filter((entry) => entry.family === `IPv${family}`) ?? [];
    if (own.length === 0) continue;
    // IPv6 knows interfaces by their names, IPv4 by their addresses.
    if (name === host) return family === 6 ? `::%${name}` : own[0]!.address;
    if (own.some(({ address }) => address === host)) return family === 6 ? `::%${name}` : host;
  }
  throw new EndpointError(`there is no interface '${host}' with an IPv${family} address`);
}

/** Whether a host is an address and no name. */
export function isAddress(host: string): boolean {
  return /^[\d.]+$|:/.test(host);
}
