import { EndpointError } from "../errors.ts";
import { type Endpoint, formatEndpoint } from "../transport/endpoint.ts";

/** @throws {EndpointError} the endpoint is a WebSocket, which carries ZeroMQ's frames and no other bytes */
export function refuseWeb(endpoint: Endpoint): void {
  if (endpoint.scheme !== "ws" && endpoint.scheme !== "wss") return;
  throw new EndpointError(
    `Cannot echo over ${
      formatEndpoint(endpoint)
    }: a WebSocket carries ZeroMQ's frames (try tcp, tls, unix or udp)`,
  );
}
