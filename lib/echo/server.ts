import type { Endpoint } from "../transport/endpoint.ts";
import { echoableEndpoint } from "./endpoint.ts";
import type { EchoServer, EchoServerOptions } from "./server_types.ts";
import { StreamEchoServer } from "./stream_server.ts";

/**
 * Starts a server that sends every byte back to its sender.
 *
 * @param endpoint tcp, tls (which needs `options.tls`), unix, ipc, inproc or udp; see `parseEndpoint`
 * @throws {AddressInUseError} another program is bound to the endpoint
 * @throws {EndpointError} the endpoint is malformed, or it cannot be bound
 * @throws {RangeError} a limit is not a positive number
 *
 * @example An echo server on a free port
 * ```ts
 * import { serveEcho } from "../../mod.ts";
 * await using server = await serveEcho(":0", { maxConnections: 10 });
 * console.assert(server.endpoint.startsWith("tcp://127.0.0.1:"));
 * ```
 */
export async function serveEcho(
  endpoint: string | Endpoint,
  options: EchoServerOptions = {},
): Promise<EchoServer> {
  requirePositive("maxConnections", options.maxConnections);
  requirePositive("idleTimeout", options.idleTimeout);
  const target = echoableEndpoint(endpoint);
  if (target.scheme === "udp") return (await import("./udp_server.ts")).serveUdpEcho(target, options);
  const server = new StreamEchoServer(options);
  await server.start(target);
  return server;
}

function requirePositive(name: string, value: number | undefined): void {
  if (value === undefined || value > 0) return;
  throw new RangeError(`Cannot serve as '${name}' must be positive: received ${value}`);
}
