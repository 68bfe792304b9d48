import type { Endpoint, Scheme } from "../endpoint_types.ts";
import { inproc } from "./inproc.ts";
import type { Cargo, Transport } from "./row.ts";
import { tcp } from "./tcp.ts";
import { tls } from "./tls.ts";
import { udp } from "./udp.ts";
import { ipc, unix } from "./unix.ts";
import { ws } from "./ws.ts";

/** Every transport. Messages list the schemes in this order. */
const ROWS: readonly Transport[] = [tcp, ipc, unix, inproc, tls, ws, udp];

const BY_SCHEME: ReadonlyMap<string, Transport> = new Map(
  ROWS.flatMap((row) => row.schemes.map((scheme) => [scheme, row])),
);

/** Returns the transport that a scheme names, or undefined when there is none. */
export function findTransport(scheme: string): Transport | undefined {
  return BY_SCHEME.get(scheme);
}

/** Returns the transport of an endpoint. */
export function transportOf({ scheme }: Endpoint): Transport {
  return BY_SCHEME.get(scheme)!;
}

/** Whether the transport of an endpoint carries this. */
export function carries({ scheme }: Endpoint, cargo: Cargo): boolean {
  return BY_SCHEME.get(scheme)!.carries.includes(cargo);
}

/** Lists the schemes whose transport carries this: `schemesFor("frames")` are those of ZeroMQ's sockets. */
export function schemesFor(cargo: Cargo): Scheme[] {
  return ROWS.filter((row) => row.carries.includes(cargo)).flatMap((row) => row.schemes);
}
