import tls from "node:tls";
import { EndpointError, messageOf } from "../errors.ts";
import { bound, NodeStream, settle } from "./runtime/node.ts";
import type { ByteStream, RawListener, TlsOptions } from "./stream.ts";

/** Connects with TLS. The peer's certificate must match `host` unless `options.insecure` is set. */
export async function connectTls(
  host: string,
  port: number,
  servername: string,
  options: TlsOptions,
  signal: AbortSignal,
): Promise<ByteStream> {
  const socket = tls.connect({
    host,
    port,
    // An address is no server name (RFC 6066, 3).
    ...(/^[\d.]+$|:/.test(servername) ? {} : { servername }),
    rejectUnauthorized: !options.insecure,
    ...pem(options),
    allowHalfOpen: true,
  } as tls.ConnectionOptions);
  await settle(socket, "secureConnect", signal);
  return new NodeStream(socket, undefined, "tls");
}

/** Listens with TLS; `options.cert` and `options.key` are needed. */
export function listenTls(
  host: string,
  port: number,
  backlog: number,
  options: TlsOptions,
  accept: (stream: ByteStream) => void,
): Promise<RawListener> {
  if (options.cert === undefined || options.key === undefined) {
    throw new EndpointError("Cannot listen with TLS without a certificate and its key (--cert FILE --key FILE)");
  }
  let server: tls.Server;
  try {
    server = tls.createServer({ ...pem(options), allowHalfOpen: true, handshakeTimeout: 10_000 } as tls.TlsOptions);
  } catch (error) {
    throw new EndpointError(`Cannot use the certificate and key: ${messageOf(error)}`, { cause: error });
  }
  server.on("secureConnection", (socket) => accept(new NodeStream(socket, undefined, "tls")));
  server.on("tlsClientError", () => {}); // A peer that fails the handshake is no concern of the others.
  return bound(server, { host, port, backlog });
}

function pem(options: TlsOptions): { ca?: string; cert?: string; key?: string } {
  return {
    ...(options.ca === undefined ? {} : { ca: options.ca }),
    ...(options.cert === undefined ? {} : { cert: options.cert }),
    ...(options.key === undefined ? {} : { key: options.key }),
  };
}
