import { AmqpError, amqpError } from "../amqp/amqp_error.ts";
import type { EncodedMessage } from "../amqp/frames/frame_encoder.ts";
import { ClosedError, LimitError } from "../errors.ts";
import { type Endpoint, parseEndpoint } from "../transport/endpoint.ts";
import type { ByteStream, Listener } from "../transport/stream.ts";
import { listen } from "../transport/transport.ts";
import { Signal } from "../transport/waiting.ts";
import { Catalog, type CatalogHost } from "./core/catalog.ts";
import type { ServerChannel } from "./amqp/channel/channel.ts";
import { DirectReplies } from "./amqp/channel/direct_reply.ts";
import { ServerConnection } from "./amqp/connection.ts";
import { type Authenticator, serverHandshake } from "./amqp/handshake.ts";
import { Counters } from "./core/counters.ts";
import { importDefinitions } from "./core/definitions/definitions.ts";
import { formatListen, isLocalPeer, parseListen } from "./endpoint.ts";
import type { Json } from "./core/definitions/table.ts";
import { Journal } from "./core/journal/journal.ts";
import { type BrokerOptions, type Settings, settingsOf } from "./options.ts";
import { compilePermission } from "./core/users/permissions.ts";
import { MessageIntake } from "./core/intake.ts";
import type { DeathReason, Queue } from "./core/queue/queue.ts";
import { Cycle, type CycleHost } from "./core/cycle.ts";
import { Access, GUEST, UserStore } from "./core/users/user_store.ts";
import type { VirtualHost } from "./core/topology/vhost.ts";

/** Connections that wait to be accepted: thousands of clients may come back at once. */
const BACKLOG = 1024;
/** How often heartbeats are looked after, in milliseconds. */
const BEAT_MS = 250;
/** How long clients may take to answer the goodbye when the broker ends, in milliseconds. */
const CLOSING_MS = 2000;

const ALLOWED = compilePermission({ configure: ".*", write: ".*", read: ".*" });

/** Lets in everybody, to everything. */
const EVERYBODY: Authenticator = {
  authenticate: () => undefined,
  accessTo: (name, vhost) => new Access(name, vhost, () => ALLOWED),
};

/** An AMQP 0-9-1 broker in this process. */
export class Broker implements CatalogHost, CycleHost {
  readonly options: Settings;
  readonly catalog: Catalog = new Catalog(this);
  readonly connections: Set<ServerConnection> = new Set();
  readonly directReplies: DirectReplies = new DirectReplies();
  /** Where it listens, as clients write it. */
  readonly endpoints: string[] = [];
  readonly counters: Counters = new Counters();
  readonly publisher: MessageIntake = new MessageIntake(this);
  /** Milliseconds since 1970, read once per turn. */
  now: number = Date.now();
  /** Why publishers are held back; undefined while they are not. */
  blocked: string | undefined;

  /** Undefined while the topology is made anew, which comes first. */
  #journal: Journal | undefined;
  #turn!: Cycle;
  readonly #left = new Signal();
  readonly #listeners: Pick<Listener, "close">[] = [];
  readonly #beat: ReturnType<typeof setInterval>;
  /** Clients that are not let in yet. */
  #logins = 0;
  #closing: Promise<void> | undefined;

  private constructor(options: Settings) {
    this.options = options;
    this.#beat = setInterval(() => this.#onBeat(), BEAT_MS);
  }

  /**
   * Opens a broker on its data, or in memory.
   *
   * @throws {MqcatError} `ERR_ADDRESS_IN_USE`: another process has the data
   */
  static open(options: BrokerOptions = {}): Promise<Broker> {
    const broker = new Broker(settingsOf(options));
    try {
      broker.#recover();
    } catch (error) {
      clearInterval(broker.#beat);
      return Promise.reject(error);
    }
    return Promise.resolve(broker);
  }

  get users(): UserStore {
    return this.catalog.users;
  }

  get vhosts(): ReadonlyMap<string, VirtualHost<Queue>> {
    return this.catalog.vhosts;
  }

  get journal(): Journal {
    return this.#journal!;
  }

  get safePosition(): number {
    // A message whose queue is not written down would be lost with it.
    return this.catalog.writeError === undefined ? this.journal.syncedPosition : 0;
  }

  /**
   * Listens, and resolves to the endpoint with the port that the system picked, as clients write it.
   *
   * @param text `amqp://host:port`, `amqps://…`, `inproc://name`, `ipc://path`; see `parseListen`
   * @param trusting whether everybody who can reach it may do everything, whatever the name and the password: for what
   *   only this process can reach, or only who may read the data
   * @throws {EndpointError | AddressInUseError} it cannot be bound
   */
  async listen(text: string, trusting = false): Promise<string> {
    const [first, ...others] = parseListen(text);
    const tls = this.options.tls === undefined ? {} : { tls: this.options.tls };
    const logins = trusting ? EVERYBODY : this.users;
    const accept = (stream: ByteStream) => void this.#accept(stream, logins);
    const listener = await listen(first!, accept, { ...tls, backlog: BACKLOG });
    this.#listeners.push(listener);
    const { port } = parseEndpoint(listener.endpoint) as { port?: number };
    for (const other of others) {
      try {
        this.#listeners.push(
          await listen({ ...other, port } as Endpoint, accept, { ...tls, backlog: BACKLOG }),
        );
      } catch {
        // A machine without IPv6, or where the first one stands for both.
      }
    }
    const bound = formatListen(listener.endpoint);
    this.endpoints.push(bound);
    return bound;
  }

  /**
   * Serves RabbitMQ's HTTP API and metrics, as far as tools need them, and resolves to `http://host:port`.
   *
   * @param text `host:port`, `:port` for loopback, `*:port` for every interface
   * @throws {EndpointError | AddressInUseError} it cannot be bound
   */
  async listenHttp(text: string): Promise<string> {
    const { HttpServer } = await import("./http/server.ts");
    const server = await HttpServer.listen(this, text);
    this.#listeners.push(server);
    return server.url;
  }

  /**
   * Loads definitions in RabbitMQ's form; what is there already stays as it is.
   *
   * @returns what was passed over, as sentences
   * @throws {DefinitionsError} they are malformed, or mean something that this broker does not have
   */
  loadDefinitions(json: Json): string[] {
    this.begin();
    try {
      return importDefinitions(this, json);
    } finally {
      this.end();
    }
  }

  /** Ends it: clients are told (320), what is to survive is on disk, and the data is free for the next. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  wake(queue: Queue): void {
    this.#turn.wake(queue);
  }

  dirty(connection: ServerConnection): void {
    this.#turn.dirty(connection);
  }

  awaitConfirm(channel: ServerChannel): void {
    this.#turn.await(channel);
  }

  syncThisTurn(): void {
    this.#turn.sync();
  }

  begin(): void {
    this.now = Date.now();
    this.#turn.begin();
  }

  end(): void {
    this.#turn.end();
  }

  deadLetter(queue: Queue, message: EncodedMessage, reason: DeathReason): void {
    this.publisher.deadLetter(queue, message, reason);
  }

  forward(queue: Queue, message: EncodedMessage): void {
    this.publisher.forward(queue, message);
  }

  deleteQueue(queue: Queue): void {
    this.vhosts.get(queue.definition.vhost)?.removeQueue(queue);
  }

  forget(queue: Queue): void {
    const { id } = queue.definition;
    this.catalog.queues.delete(id);
    this.#journal?.forget(id);
  }

  onChannelError(channel: ServerChannel, error: AmqpError): void {
    const { remote } = channel.connection;
    this.options.onEvent({ type: "channel-error", remote, channel: channel.number, error });
  }

  onConnectionClosed(connection: ServerConnection, cause: Error | undefined): void {
    if (!this.connections.delete(connection)) return;
    this.counters.connectionsClosed++;
    this.#left.fire();
    this.options.onEvent({ type: "disconnected", remote: connection.remote, cause });
  }

  async #accept(stream: ByteStream, logins: Authenticator): Promise<void> {
    const { remote } = stream;
    if (this.#closing !== undefined || this.connections.size + this.#logins >= this.options.maxConnections) {
      const error = new LimitError(`All ${this.options.maxConnections} connections are in use`);
      stream.close();
      return this.options.onEvent({ type: "refused", remote, error });
    }
    this.#logins++;
    try {
      const login = await serverHandshake(stream, this.options, logins, this.vhosts, isLocalPeer(remote));
      const connection = new ServerConnection(this, stream, login);
      this.connections.add(connection);
      this.counters.connectionsOpened++;
      this.options.onEvent({ type: "connected", remote, user: login.user, vhost: login.vhost.name });
      connection.start(login);
      if (this.#closing !== undefined) connection.fail(shutdown());
    } catch (error) {
      this.options.onEvent({ type: "refused", remote, error: error as Error });
    } finally {
      this.#logins--;
    }
  }

  /** Makes the topology anew, then the messages. */
  #recover(): void {
    const { data, sync, syncInterval, memoryLimit, guest } = this.options;
    const onProblem = (what: string) => this.options.onEvent({ type: "damaged", what });
    this.#journal = Journal.open({
      directory: data,
      sync,
      syncInterval,
      memorySize: memoryLimit,
      onSynced: () => this.#turn.confirm(),
      onFullChange: () => this.onRoomChange(),
      onProblem,
    }, {
      opened: () => this.catalog.open(data!, sync === "confirm", onProblem),
      lane: (queueId, lane) => this.catalog.queueOf(queueId)?.lanes[lane],
    });
    this.#turn = new Cycle(this.journal, this);
    this.catalog.recovered(onProblem);
    this.catalog.addVirtualHost("/");
    if (guest && this.users.size === 0) {
      this.users.put(GUEST, GUEST, ["administrator"]);
      this.users.permit(GUEST, "/", { configure: ".*", write: ".*", read: ".*" });
    } else if (
      !guest && this.users.authenticate(GUEST, new TextEncoder().encode(GUEST), true) === undefined
    ) {
      this.users.remove(GUEST);
    }
    this.begin();
    for (const queue of this.catalog.queues.values()) queue.recovered();
    this.end();
  }

  addVirtualHost(name: string): VirtualHost<Queue> {
    return this.catalog.addVirtualHost(name);
  }

  /** Removes a virtual host with everything in it; its clients are told (320). */
  removeVirtualHost(name: string): void {
    const vhost = this.vhosts.get(name);
    for (const connection of this.connections) {
      if (connection.vhost === vhost) connection.fail(amqpError(320, `vhost '${name}' is deleted`));
    }
    this.catalog.removeVirtualHost(name);
  }

  onFailure(error: unknown): void {
    this.options.onEvent({ type: "failed", error: error as Error });
  }

  /** Publishers are held back, or let go. */
  onRoomChange(): void {
    const { memoryFull } = this.journal;
    const unwritten = this.journal.full ?? this.catalog.writeError;
    const reason = unwritten !== undefined
      ? `the disk takes no more: ${unwritten.message}`
      : memoryFull
      ? "the memory for messages is full"
      : undefined;
    if (reason === this.blocked) return;
    this.blocked = reason;
    this.options.onEvent({ type: "blocked", reason });
    if (reason !== undefined) return;
    this.begin();
    for (const connection of this.connections) connection.release();
    this.end();
  }

  #onBeat(): void {
    const now = performance.now();
    for (const connection of this.connections) connection.beat(now);
    if (this.catalog.writeError === undefined || !this.catalog.catchUp()) return;
    this.onRoomChange();
    this.#turn.confirm();
  }

  async #close(): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.close()));
    // What was published is confirmed before the goodbye, or it would be published again.
    this.begin();
    this.syncThisTurn();
    this.end();
    this.begin();
    for (const connection of this.connections) connection.fail(shutdown());
    this.end();
    const deadline = performance.now() + CLOSING_MS;
    while (this.connections.size > 0 && performance.now() < deadline) {
      await this.#left.wait(deadline - performance.now());
    }
    for (const connection of this.connections) connection.abort(new ClosedError("The broker ended"));
    while (this.connections.size > 0) await this.#left.wait();
    clearInterval(this.#beat);
    for (const queue of this.catalog.queues.values()) queue.stop();
    this.catalog.catchUp();
    this.catalog.close();
    this.journal.close();
    if (this.catalog.writeError !== undefined) throw this.catalog.writeError;
  }
}

function shutdown(): AmqpError {
  return amqpError(320, "broker forced connection closure with reason 'shutdown'");
}
