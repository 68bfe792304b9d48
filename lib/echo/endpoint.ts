import { EndpointError } from "../errors.ts";
import { type Endpoint, formatEndpoint, toEndpoint } from "../transport/endpoint.ts";
import { carries } from "../transport/schemes/table.ts";

/** @throws {EndpointError} the endpoint is malformed, or its transport carries ZeroMQ's frames and no other bytes */
export function echoableEndpoint(endpoint: string | Endpoint): Endpoint {
  const target = toEndpoint(endpoint);
  if (carries(target, "bytes") || carries(target, "datagrams")) return target;
  throw new EndpointError(
    `Cannot echo over ${
      formatEndpoint(target)
    }: a WebSocket carries ZeroMQ's frames (try tcp, tls, unix or udp)`,
  );
}
