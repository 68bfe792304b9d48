import { UnreachableError } from "../errors.ts";
import { type Endpoint, formatEndpoint } from "../transport/endpoint.ts";
import { connect } from "../transport/transport.ts";
import { MAX_TIMER } from "../transport/waiting.ts";
import { CONNECT_TIMEOUT, type EchoClient, type EchoClientOptions } from "./client_types.ts";
import { echoableEndpoint } from "./endpoint.ts";
import { StreamEchoClient } from "./stream_client.ts";

/**
 * Connects to an echo server, or to any other server that answers over a socket.
 *
 * @param endpoint tcp, tls, unix, ipc, inproc or udp; see `parseEndpoint`
 * @throws {UnreachableError} no program listens there, or it does not answer within `connectTimeout`
 * @throws {EndpointError} the endpoint is malformed, or its transport cannot carry an echo
 *
 * @example Send a line and receive it
 * ```ts
 * import { connectEcho, serveEcho } from "../../mod.ts";
 * await using server = await serveEcho(":0", { once: true });
 * await using client = await connectEcho(server.endpoint, {
 *   onData: (chunk) => console.assert(new TextDecoder().decode(chunk) === "Hello, world"),
 * });
 * client.send(new TextEncoder().encode("Hello, world"));
 * client.end();
 * console.assert(await client.closed === undefined);
 * ```
 */
export async function connectEcho(
  endpoint: string | Endpoint,
  options: EchoClientOptions,
): Promise<EchoClient> {
  const target = echoableEndpoint(endpoint);
  if (target.scheme === "udp") return (await import("./udp_client.ts")).connectUdpEcho(target, options);
  const { connectTimeout = CONNECT_TIMEOUT, signal } = options;
  const late = AbortSignal.timeout(Math.ceil(Math.min(connectTimeout, MAX_TIMER)));
  try {
    const stream = await connect(target, {
      ...options,
      signal: signal === undefined ? late : AbortSignal.any([signal, late]),
    });
    return new StreamEchoClient(stream, options);
  } catch (error) {
    if (error !== late.reason) throw error;
    const text = `Cannot connect to ${formatEndpoint(target)}: no answer within ${connectTimeout} ms`;
    throw new UnreachableError(text, { cause: error });
  }
}
