import { ClosedError } from "../errors.ts";
import type { Endpoint } from "../transport/endpoint.ts";
import type { ByteStream, Listener, TransportOptions } from "../transport/stream.ts";
import { listen } from "../transport/transport.ts";
import { EchoConnection } from "./connection.ts";
import { echoableEndpoint } from "./endpoint.ts";

/** How many connections an echo server keeps at once, unless told. */
export const MAX_CONNECTIONS = 1024;

/** What happens at an echo server. */
export type EchoServerEvent =
  /** It is bound; `endpoint` has the port that the system picked. */
  | { readonly type: "listening"; readonly endpoint: string }
  | { readonly type: "connected"; readonly remote: string }
  /** A connection is over: `bytes` went back. Without a cause both ends ended it. */
  | {
    readonly type: "disconnected";
    readonly remote: string;
    readonly bytes: number;
    readonly cause: Error | undefined;
  }
  /** A connection was closed at once, because there were `limit` already. */
  | { readonly type: "refused"; readonly remote: string; readonly limit: number }
  /** A datagram went back (udp). */
  | { readonly type: "echoed"; readonly remote: string; readonly bytes: number }
  /** A datagram did not go back (udp). */
  | { readonly type: "dropped"; readonly remote: string; readonly bytes: number; readonly cause: Error };

/** How to serve. */
export interface EchoServerOptions extends TransportOptions {
  /** Serve one connection, or one datagram, then stop. */
  readonly once?: boolean | undefined;
  /** Connections at once; over it a new one is closed immediately. 1024 unless told; udp has none. */
  readonly maxConnections?: number | undefined;
  /** Close a connection after so many milliseconds without a byte in either direction; off unless told. */
  readonly idleTimeout?: number | undefined;
  /** Told of everything that happens; may not throw. */
  readonly onEvent?: ((event: EchoServerEvent) => void) | undefined;
}

/** A running echo server. */
export interface EchoServer {
  /** The real endpoint, with the port that the system picked. */
  readonly endpoint: string;
  /** Resolves when the server is bound no more and its last connection is over. It never rejects. */
  readonly closed: Promise<void>;
  /** Stops listening, and ends all connections at once. */
  close(): Promise<void>;
}

/**
 * Sends every byte back to where it came from.
 *
 * @param endpoint tcp, tls (which needs `options.tls`), unix, ipc or udp
 * @throws {AddressInUseError} somebody else is bound to it
 * @throws {EndpointError} it cannot be bound
 * @throws {RangeError} a limit is not a positive number
 *
 * @example An echo server on a free port
 * ```ts
 * import { parseEndpoint, serveEcho } from "../../mod.ts";
 * const server = await serveEcho(parseEndpoint(":0"), { maxConnections: 10 });
 * console.assert(server.endpoint.startsWith("tcp://127.0.0.1:"));
 * await server.close();
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

class StreamEchoServer implements EchoServer {
  readonly closed: Promise<void>;

  readonly #options: EchoServerOptions;
  readonly #limit: number;
  readonly #connections = new Set<EchoConnection>();
  readonly #resolveClosed: () => void;
  #listener!: Listener;
  #stopped: Promise<void> | undefined;

  constructor(options: EchoServerOptions) {
    this.#options = options;
    this.#limit = options.once ? 1 : options.maxConnections ?? MAX_CONNECTIONS;
    ({ promise: this.closed, resolve: this.#resolveClosed } = Promise.withResolvers<void>());
  }

  get endpoint(): string {
    return this.#listener.endpoint;
  }

  async start(endpoint: Endpoint): Promise<void> {
    this.#listener = await listen(endpoint, (stream) => this.#accept(stream), this.#options);
    this.#options.onEvent?.({ type: "listening", endpoint: this.endpoint });
  }

  close(): Promise<void> {
    this.#stop();
    for (const connection of this.#connections) connection.close(new ClosedError("The server stopped"));
    return this.closed;
  }

  async #accept(stream: ByteStream): Promise<void> {
    const { once, idleTimeout, onEvent } = this.#options;
    const { remote } = stream;
    if (this.#stopped !== undefined || this.#connections.size >= this.#limit) {
      stream.close();
      return onEvent?.({ type: "refused", remote, limit: this.#limit });
    }
    const connection = new EchoConnection(stream);
    this.#connections.add(connection);
    if (once) this.#stop();
    onEvent?.({ type: "connected", remote });
    connection.start(idleTimeout);
    const cause = await connection.closed;
    this.#connections.delete(connection);
    onEvent?.({ type: "disconnected", remote, bytes: connection.bytes, cause });
    this.#settle();
  }

  #stop(): void {
    this.#stopped ??= this.#listener.close();
    this.#settle();
  }

  #settle(): void {
    if (this.#connections.size === 0) this.#stopped?.then(this.#resolveClosed);
  }
}
