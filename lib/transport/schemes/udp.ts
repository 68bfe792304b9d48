import { EndpointError } from "../../errors.ts";
import type { HostEndpoint } from "../endpoint_types.ts";
import type { Transport } from "./row.ts";
import { formatHostEndpoint, parseHostEndpoint } from "./text.ts";

/** UDP. It has no streams: `../datagram.ts` binds and aims its sockets. */
export const udp: Transport<HostEndpoint> = {
  schemes: ["udp"],
  carries: ["datagrams"],
  parse: parseHostEndpoint,
  format: formatHostEndpoint,
  connect: () => Promise.reject(noStream()),
  listen: () => Promise.reject(noStream()),
};

function noStream(): EndpointError {
  return new EndpointError("udp carries datagrams, not a stream");
}
