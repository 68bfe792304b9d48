import { deferred } from "../transport/deferred.ts";
import { ClosedError } from "../errors.ts";
import type { Endpoint } from "../transport/endpoint.ts";
import type { ByteStream, Listener } from "../transport/stream.ts";
import { listen } from "../transport/transport.ts";
import { EchoConnection } from "./connection.ts";
import { type EchoServer, type EchoServerOptions, MAX_CONNECTIONS } from "./server_types.ts";

/** An echo server over streams. */
export class StreamEchoServer implements EchoServer {
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
    ({ promise: this.closed, resolve: this.#resolveClosed } = deferred<void>());
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

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
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
