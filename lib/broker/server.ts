import { type AmqpError, amqpError } from "../amqp/amqp_error.ts";
import { ClosedError, LimitError } from "../errors.ts";
import { type Endpoint, parseEndpoint } from "../transport/endpoint.ts";
import type { ByteStream, FrameStream, Listener } from "../transport/stream.ts";
import { listen } from "../transport/transport.ts";
import { Signal } from "../transport/waiting.ts";
import { BrokerCore, type CoreHost } from "./core/broker_core.ts";
import type { Timer } from "./core/clock.ts";
import { importDefinitions } from "./core/definitions/import.ts";
import type { Json } from "./core/definitions/table.ts";
import { prepareEngine } from "../regex/pattern.ts";
import { limitOf } from "./core/policies/limits.ts";
import type { VirtualHost } from "./core/topology/vhost.ts";
import { type Authenticator, TRUST_ALL } from "./core/users/authenticator.ts";
import type { UserStore } from "./core/users/user_store.ts";
import { Faults } from "./testing/faults.ts";
import { formatListen, isLocalPeer, parseListen } from "./endpoint.ts";
import type { HttpOptions } from "./http/server.ts";
import { type BrokerOptions, type Settings, settingsOf } from "./options.ts";
import { type ClientConnection, type Protocol, type ProtocolHost, type ProtocolServer } from "./protocol.ts";
import { PROTOCOLS } from "./protocols.ts";

/** Length of the queue of connections to accept: thousands of clients may reconnect at once. */
const BACKLOG = 1024;
/** Interval at which connections check their heartbeats, in milliseconds. */
const BEAT_MS = 250;
/** Time for clients to answer the close when the broker ends, in milliseconds. */
const CLOSING_MS = 2000;

/** A broker in this process: its listeners and connections around a core. */
export class Broker implements CoreHost, ProtocolHost {
  readonly options: Settings;
  readonly core: BrokerCore;
  readonly connections: Set<ClientConnection> = new Set();
  readonly faults: Faults = new Faults(this);
  /** Endpoints that it listens on, as clients write them. */
  readonly endpoints: string[] = [];

  readonly #servers = new Map<Protocol, Promise<ProtocolServer>>();
  /** Clients that may connect and are about to be told so. */
  readonly #reserved = new Set<Pick<ClientConnection, "user" | "vhost">>();
  readonly #disconnected = new Signal();
  readonly #listeners: Pick<Listener, "close">[] = [];
  readonly #beat: Timer;
  /** Number of clients that are logging in. */
  #logins = 0;
  #closing: Promise<void> | undefined;

  private constructor(options: Settings) {
    this.options = options;
    this.core = new BrokerCore(options, this);
    this.#beat = options.clock.setInterval(() => this.#onBeat(), BEAT_MS);
  }

  /**
   * Opens a broker on its data, or in memory.
   *
   * @throws {MqcatError} `ERR_ADDRESS_IN_USE`: another process has the data open
   */
  static async open(options: BrokerOptions = {}): Promise<Broker> {
    await prepareEngine();
    return new Broker(settingsOf(options));
  }

  get users(): UserStore {
    return this.core.users;
  }

  get vhosts(): ReadonlyMap<string, VirtualHost> {
    return this.core.vhosts;
  }

  /**
   * Listens for clients.
   *
   * @param text `amqp://host:port`, `amqps://…`, `stomp://…`, `stomps://…`, `ws://host:port/path`, `wss://…`,
   *   `inproc://name`, `ipc://path`; see `parseListen`
   * @param trusting whether every client may do everything, with any name and password: for endpoints that only this
   *   process, or only those who may read the data, can reach
   * @returns the endpoint as clients write it, with the port that the system chose
   * @throws {EndpointError | AddressInUseError} the endpoint cannot be bound
   */
  async listen(text: string, trusting = false): Promise<string> {
    const { protocol, endpoints: [first, ...others] } = parseListen(text, PROTOCOLS);
    const options = {
      ...(this.options.tls === undefined ? {} : { tls: this.options.tls }),
      backlog: BACKLOG,
      onRefused: (remote: string, error: Error) => this.options.onEvent({ type: "refused", remote, error }),
    };
    const authenticator = trusting ? TRUST_ALL : this.users;
    const servers = await this.#serversFor(protocol);
    const accept = (stream: ByteStream) => {
      const { subprotocol } = stream as Partial<FrameStream>;
      void this.#accept(stream, servers.get(protocol === undefined ? subprotocol! : "")!, authenticator);
    };
    const web = { protocols: [...servers.keys()], carries: "bytes", origins: this.options.origins } as const;
    const listener = await listen(first, accept, { ...options, web });
    this.#listeners.push(listener);
    const { port } = parseEndpoint(listener.endpoint) as { port?: number };
    for (const other of others) {
      try {
        this.#listeners.push(await listen({ ...other, port } as Endpoint, accept, { ...options, web }));
      } catch {
        // The machine has no IPv6, or the first listener accepts both families.
      }
    }
    const bound = formatListen(listener.endpoint, protocol);
    this.endpoints.push(bound);
    return bound;
  }

  /**
   * Serves the part of RabbitMQ's HTTP API that tools need, metrics, and a web page.
   *
   * @param text `host:port`, `:port` for loopback, `*:port` for every interface
   * @returns the URL, `http://host:port`
   * @throws {EndpointError | AddressInUseError} the address cannot be bound
   */
  async listenHttp(text: string, options: HttpOptions = {}): Promise<string> {
    const { HttpServer } = await import("./http/server.ts");
    const server = await HttpServer.listen(this, text, options);
    this.#listeners.push(server);
    return server.url;
  }

  /**
   * Loads definitions in RabbitMQ's format. Existing objects are not changed.
   *
   * @returns warnings about definitions that are ignored
   * @throws {DefinitionsError} the definitions are malformed or need a feature that this broker does not have
   */
  loadDefinitions(json: Json): string[] {
    const { cycle } = this.core;
    cycle.begin();
    try {
      return importDefinitions(this.core, json);
    } finally {
      cycle.end();
    }
  }

  /** Removes a virtual host with everything in it and closes the connections to it (320). */
  removeVirtualHost(name: string): void {
    const vhost = this.vhosts.get(name);
    this.#closeAll(vhostDeleted(name), (connection) => connection.vhost === vhost);
    if (vhost !== undefined) this.core.counters.removedVhosts.add(vhost.stats);
    this.core.catalog.removeVirtualHost(name);
  }

  /** Removes a user and closes the user's connections (320). */
  removeUser(name: string): void {
    this.#closeAll(userDeleted(name), ({ user }) => user === name);
    this.users.remove(name);
  }

  /**
   * Returns to the state after the start, for the next test: closes all connections, removes all virtual hosts, and adds
   * the virtual host `/` again, with the permissions that it had. Ends all faults. Users and the clock stay.
   */
  async reset(): Promise<void> {
    const { cycle } = this.core;
    const permissions = [...this.users.permissions()].filter(({ vhost }) => vhost === "/");
    const topics = [...this.users.topicPermissions()].filter(({ vhost }) => vhost === "/");
    this.faults.clear();
    cycle.begin();
    this.#closeAll(amqpError(320, "the broker is reset"), () => true);
    for (const name of [...this.vhosts.keys()]) this.removeVirtualHost(name);
    this.core.addVirtualHost("/");
    for (const { user, vhost, ...permission } of permissions) this.users.permit(user, vhost, permission);
    for (const { user, vhost, exchange, ...permission } of topics) {
      this.users.permitTopics(user, vhost, exchange, permission);
    }
    cycle.end();
    await this.#disconnectedAll("The broker is reset");
  }

  /** Closes all connections (320), writes durable data to disk and closes it. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  reserveConnection(user: string, vhost: VirtualHost): () => void {
    const inVhost = limitOf(vhost.limits, "max-connections");
    if (inVhost !== Infinity && this.#count((one) => one.vhost === vhost) >= inVhost) {
      throw amqpError(
        530,
        `access to vhost '${vhost.name}' refused for user '${user}': connection limit (${inVhost}) is reached`,
      );
    }
    const ofUser = limitOf(this.users.get(user)?.limits, "max-connections");
    if (ofUser !== Infinity && this.#count((one) => one.user === user) >= ofUser) {
      throw amqpError(
        530,
        `connection refused for user '${user}': user connection limit (${ofUser}) is reached`,
      );
    }
    const reservation = { user, vhost };
    this.#reserved.add(reservation);
    return () => this.#reserved.delete(reservation);
  }

  checkChannels(user: string): void {
    const limit = limitOf(this.users.get(user)?.limits, "max-channels");
    if (limit === Infinity) return;
    let open = 0;
    for (const connection of this.connections) {
      if (connection.user !== user) continue;
      for (const channel of connection.channels) if (channel !== undefined) open++;
    }
    if (open < limit) return;
    throw amqpError(
      530,
      `number of channels opened for user '${user}' has reached the maximum allowed user limit of (${limit})`,
    );
  }

  onConnected(connection: ClientConnection, authenticator: Authenticator): AmqpError | undefined {
    const { remote, user, vhost } = connection;
    this.connections.add(connection);
    this.core.counters.connectionsOpened++;
    this.options.onEvent({ type: "connected", remote, user, vhost: vhost.name });
    if (this.vhosts.get(vhost.name) !== vhost) return vhostDeleted(vhost.name);
    return authenticator.has(user) ? undefined : userDeleted(user);
  }

  onDisconnected(connection: ClientConnection, cause: Error | undefined): void {
    if (!this.connections.delete(connection)) return;
    this.core.counters.connectionsClosed++;
    connection.vhost.stats.received += connection.received;
    connection.vhost.stats.sent += connection.sent;
    this.#disconnected.fire();
    this.options.onEvent({ type: "disconnected", remote: connection.remote, cause });
  }

  onChannelError(remote: string, channel: number, error: Error): void {
    this.options.onEvent({ type: "channel-error", remote, channel, error });
  }

  onBlocked(reason: string | undefined): void {
    this.options.onEvent({ type: "blocked", reason });
    for (const connection of this.connections) {
      if (reason === undefined) connection.release();
      else connection.block(reason);
    }
  }

  onFailure(error: Error): void {
    this.options.onEvent({ type: "failed", error });
  }

  onDamage(what: string): void {
    this.options.onEvent({ type: "damaged", what });
  }

  /** Returns the server of a protocol as "", or the servers of all protocols of WebSockets by their subprotocols. */
  async #serversFor(protocol: Protocol | undefined): Promise<Map<string, ProtocolServer>> {
    if (protocol !== undefined) return new Map([["", await this.#serverFor(protocol)]]);
    const servers = new Map<string, ProtocolServer>();
    for (const one of PROTOCOLS) {
      for (const subprotocol of one.subprotocols) servers.set(subprotocol, await this.#serverFor(one));
    }
    return servers;
  }

  #serverFor(protocol: Protocol): Promise<ProtocolServer> {
    let server = this.#servers.get(protocol);
    if (server === undefined) this.#servers.set(protocol, server = protocol.load(this));
    return server;
  }

  /** Counts connections, also those that are reserved. */
  #count(test: (connection: Pick<ClientConnection, "user" | "vhost">) => boolean): number {
    let count = 0;
    for (const connections of [this.connections, this.#reserved]) {
      for (const connection of connections) if (test(connection)) count++;
    }
    return count;
  }

  async #accept(stream: ByteStream, server: ProtocolServer, authenticator: Authenticator): Promise<void> {
    const { remote } = stream;
    if (this.#closing !== undefined || this.connections.size + this.#logins >= this.options.maxConnections) {
      const error = new LimitError(`All ${this.options.maxConnections} connections are in use`);
      stream.close();
      return this.options.onEvent({ type: "refused", remote, error });
    }
    this.#logins++;
    try {
      const connection = await server.serve(stream, authenticator, isLocalPeer(remote));
      if (this.#closing !== undefined) connection.fail(shutdown());
    } catch (error) {
      this.options.onEvent({ type: "refused", remote, error: error as Error });
    } finally {
      this.#logins--;
    }
  }

  #onBeat(): void {
    const now = this.options.clock.monotonic();
    const real = performance.now();
    for (const connection of this.connections) connection.beat(now, real);
    this.core.retryWrites();
  }

  /** Waits until the connections that are closing are gone. */
  async #disconnectedAll(reason: string): Promise<void> {
    const leaving = [...this.connections];
    const left = () => leaving.some((connection) => this.connections.has(connection));
    const deadline = performance.now() + CLOSING_MS;
    while (left() && performance.now() < deadline) {
      await this.#disconnected.wait(deadline - performance.now());
    }
    for (const connection of leaving) {
      if (this.connections.has(connection)) connection.abort(new ClosedError(reason));
    }
    while (left()) await this.#disconnected.wait();
  }

  #closeAll(error: AmqpError, test: (connection: ClientConnection) => boolean): void {
    for (const connection of this.connections) if (test(connection)) connection.fail(error);
  }

  async #close(): Promise<void> {
    const { cycle } = this.core;
    await Promise.all(this.#listeners.map((listener) => listener.close()));
    // Confirms are sent before the close, or clients would publish these messages again.
    cycle.begin();
    cycle.syncThisCycle();
    cycle.end();
    cycle.begin();
    this.#closeAll(shutdown(), () => true);
    cycle.end();
    await this.#disconnectedAll("The broker ended");
    this.options.clock.clearInterval(this.#beat);
    for (const server of this.#servers.values()) await server.then((one) => one.close?.(), () => {});
    this.core.close();
  }
}

function shutdown(): AmqpError {
  return amqpError(320, "broker forced connection closure with reason 'shutdown'");
}

/** The error that closes the connections to a virtual host that is deleted. */
function vhostDeleted(name: string): AmqpError {
  return amqpError(320, `vhost '${name}' is deleted`);
}

/** The error that closes the connections of a user who is deleted. */
function userDeleted(name: string): AmqpError {
  return amqpError(320, `user '${name}' is deleted`);
}
