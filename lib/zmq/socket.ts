import { ClosedError, EndpointError, LimitError } from "../errors.ts";
import { type Endpoint, formatEndpoint, isWildcard, toEndpoint } from "../transport/endpoint.ts";
import { carries, schemesFor } from "../transport/schemes/table.ts";
import type { ByteStream, Listener } from "../transport/stream.ts";
import { listen } from "../transport/transport.ts";
import type { Batch } from "../zmtp/batch.ts";
import { type ConnectionOwner, ZmtpConnection } from "../zmtp/connection.ts";
import { handshake } from "../zmtp/handshake.ts";
import type { SocketType } from "../zmtp/socket_type.ts";
import { checkDatagrams, DatagramStream, listenDatagrams } from "./datagrams.ts";
import { Dialer, type Ending } from "./dialer.ts";
import { type ResolvedOptions, resolveOptions, type SocketOptions, transportOptions } from "./options.ts";
import { Signal } from "../transport/waiting.ts";

/** The types for which `conflate` has an effect on what they send; elsewhere each message has its own answer. */
const CONFLATES: ReadonlySet<SocketType> = new Set(["PUB", "PUSH", "DEALER", "RADIO"]);

/** How long a peer may take to read to the end and close, once all is sent, in milliseconds. */
const FAREWELL_MS = 1000;

/** Where a peer comes from. */
type Origin = Bound | Dialer;

/** A bound endpoint. */
interface Bound {
  listener?: Listener;
}

/**
 * What all socket types share: many binds and connects, the peers they bring, and the end. What is sent and received,
 * and by which rule, is the business of the types.
 */
export abstract class Socket implements ConnectionOwner {
  readonly type: SocketType;
  protected readonly options: ResolvedOptions;
  /** The peers that are ready. */
  protected readonly connections: Set<ZmtpConnection> = new Set();
  /** Fires when a peer comes or goes, or takes something. */
  protected readonly changed: Signal = new Signal();

  /** How long `close` lets the peers read to the end, in milliseconds; 0 where nothing was sent to them. */
  protected readonly farewell: number = FAREWELL_MS;

  readonly #listeners = new Set<Bound>();
  readonly #dialers = new Set<Dialer>();
  /** Streams whose peer is not ready yet, and whence they come. */
  readonly #greeting = new Map<ByteStream, Origin>();
  readonly #origins = new Map<ZmtpConnection, Origin>();
  #closed = false;
  /** Whether peers are still let in: until `close` has lingered. */
  #open = true;
  #paused = false;
  #failure: Error | undefined;
  #hadPeers = false;

  constructor(type: SocketType, options: SocketOptions) {
    this.type = type;
    this.options = resolveOptions(options);
  }

  /** Ends every wait for `change` or `writable` at once, so that the waiting code looks around again. */
  wake(): void {
    this.changed.fire();
  }

  /** How many peers are ready. */
  get peers(): number {
    return this.connections.size;
  }

  /** The last final failure, once no endpoint is left that could bring a peer. */
  get failure(): Error | undefined {
    return this.#listeners.size + this.#dialers.size === 0 ? this.#failure : undefined;
  }

  /** Whether every endpoint has had a peer, and none of them is left. */
  get abandoned(): boolean {
    if (!this.#hadPeers || this.connections.size > 0) return false;
    for (const dialer of this.#dialers) if (!dialer.reached) return false;
    return true;
  }

  /** Resolves when a peer comes or goes or has taken something, or after `ms` milliseconds. */
  change(ms = Infinity): Promise<void> {
    return this.changed.wait(ms);
  }

  /**
   * Listens for peers.
   *
   * @param endpoint for example `tcp://127.0.0.1:5555`; port 0 or `*` picks a free one
   * @returns the endpoint with its real port
   * @throws {EndpointError} the endpoint cannot be bound
   * @throws {AddressInUseError} somebody else is bound to it
   */
  async bind(endpoint: string | Endpoint): Promise<string> {
    this.#assertOpen();
    const bound: Bound = {};
    const usable = this.#usable(endpoint, true);
    const accept = (stream: ByteStream) => this.#accept(stream, bound);
    const listener = bound.listener = usable.scheme === "udp"
      ? await listenDatagrams(usable, accept)
      : await listen(usable, accept, transportOptions(this.options));
    if (this.#closed) {
      await listener.close();
      this.#assertOpen();
    }
    this.#listeners.add(bound);
    this.options.onEvent({ type: "listening", endpoint: listener.endpoint });
    return listener.endpoint;
  }

  /**
   * Connects to a peer, now or as soon as it is there, and again whenever it was lost.
   *
   * @throws {EndpointError} the endpoint cannot be connected to
   */
  connect(endpoint: string | Endpoint): void {
    this.dial(endpoint);
  }

  /** Keeps up a connection to an endpoint; see `connect`. */
  protected dial(endpoint: string | Endpoint): Dialer {
    this.#assertOpen();
    const target = this.#usable(endpoint, false);
    if (isWildcard(target)) {
      throw new EndpointError(`Cannot connect to ${formatEndpoint(target)}: port 0 and '*' are for binding`);
    }
    const dialer: Dialer = new Dialer(
      target,
      this.options,
      (stream, name) => this.#serve(stream, name, dialer),
    );
    this.#dialers.add(dialer);
    dialer.done.then((failure) => {
      this.#dialers.delete(dialer);
      this.#failure = failure;
      if (this.failure !== undefined) this.onFailure();
      this.changed.fire();
    });
    return dialer;
  }

  /**
   * Stops listening, and closes the connections that came this way. What they were not sent yet goes to other peers
   * where the type can do that, and is lost where it cannot.
   *
   * @param endpoint as `bind` returned it
   * @throws {EndpointError} the socket is not bound to it
   */
  async unbind(endpoint: string): Promise<void> {
    const bound = [...this.#listeners].find(({ listener }) => listener!.endpoint === endpoint);
    if (bound === undefined) throw new EndpointError(`Cannot unbind ${endpoint}: nothing is bound to it`);
    this.#listeners.delete(bound);
    const released = bound.listener!.close();
    this.#dismiss(bound);
    await released;
  }

  /**
   * Ends what `connect` began, once for each call of it, and closes the connection as `unbind` does.
   *
   * @throws {EndpointError} the socket does not connect to it
   */
  async disconnect(endpoint: string | Endpoint): Promise<void> {
    const name = formatEndpoint(toEndpoint(endpoint));
    const dialer = [...this.#dialers].find((dialer) => dialer.endpoint === name);
    if (dialer === undefined) throw new EndpointError(`Cannot disconnect ${name}: nothing connects to it`);
    dialer.stop();
    this.#dismiss(dialer);
    await dialer.done;
  }

  /**
   * Closes the socket: sends what waits, for `linger` milliseconds at most, while peers may still come back, and then
   * lets every peer read to the end.
   *
   * @returns how many messages could not be handed over
   */
  async close(linger = 0): Promise<number> {
    if (this.#closed) return 0;
    this.#closed = true;
    this.changed.fire();
    const deadline = performance.now() + linger;
    while (this.unsent > 0 && performance.now() < deadline && this.failure === undefined) {
      await this.changed.wait(deadline - performance.now());
    }
    this.#open = false;
    for (const dialer of this.#dialers) dialer.stop();
    for (const stream of this.#greeting.keys()) stream.close();
    const bound = [...this.#listeners];
    this.#listeners.clear();
    await Promise.all(bound.map(({ listener }) => listener!.close()));
    const unsent = this.unsent;
    const farewell = performance.now() + (unsent > 0 ? 0 : this.farewell);
    for (const connection of this.connections) connection.end();
    while (this.connections.size > 0 && performance.now() < farewell) {
      await this.changed.wait(farewell - performance.now());
    }
    for (const connection of this.connections) connection.close();
    this.changed.fire();
    return unsent;
  }

  /** Whether `close` was called. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Whether peers are still served: until `close` has lingered. */
  protected get open(): boolean {
    return this.#open;
  }

  /** How many messages wait to be handed to the system. */
  get unsent(): number {
    let sum = 0;
    for (const connection of this.connections) sum += connection.outbox.unsent;
    return sum;
  }

  /** Whether `pause` holds. */
  protected get paused(): boolean {
    return this.#paused;
  }

  /** Stops reading from every peer, so that they are held back. */
  pause(): void {
    this.#paused = true;
    for (const connection of this.connections) connection.pause();
  }

  resume(): void {
    this.#paused = false;
    for (const connection of this.connections) {
      if (this.#paused) return;
      connection.resume();
    }
  }

  /** Why a peer whose handshake went well is refused all the same; it may try again. */
  protected admit(_connection: ZmtpConnection, _dialer: Dialer | undefined): Error | undefined {
    return undefined;
  }
  /** A peer is ready. `dialer` when we connected to it. */
  protected onAttach(_connection: ZmtpConnection, _dialer: Dialer | undefined): void {}
  /** A ready peer is gone. */
  protected onDetach(_connection: ZmtpConnection): void {}
  /** No endpoint is left that could bring a peer; `failure` says why. */
  protected onFailure(): void {}

  /** Socket types that receive override this; what others are sent is dropped, as in libzmq. */
  onBatch(_from: ZmtpConnection, _batch: Batch): void {}
  onSubscription(_from: ZmtpConnection, _topic: Uint8Array, _subscribe: boolean): void {}
  onGroup(_from: ZmtpConnection, _group: Uint8Array, _join: boolean): void {}

  onWritable(_connection: ZmtpConnection): void {
    this.changed.fire();
  }

  #dismiss(origin: Origin): void {
    for (const [stream, from] of this.#greeting) if (from === origin) stream.close();
    for (const [connection, from] of this.#origins) if (from === origin) connection.close();
  }

  #accept(stream: ByteStream, bound: Bound): void {
    if (!this.#open) return stream.close();
    if (this.connections.size + this.#greeting.size >= this.options.maxPeers) {
      const error = new LimitError(`There are ${this.options.maxPeers} peers already; one more was refused`);
      stream.close();
      this.options.onEvent({ type: "handshake-failed", endpoint: stream.remote, error, dialed: false });
      return;
    }
    this.#serve(stream, stream.remote, bound);
  }

  async #serve(stream: ByteStream, endpoint: string, origin: Origin): Promise<Ending> {
    const dialer = origin instanceof Dialer ? origin : undefined;
    const { onEvent, hwm, hwmBytes, maxMessageSize, handshakeTimeout, security } = this.options;
    const { identity, heartbeat } = this.options;
    let connection: ZmtpConnection;
    this.#greeting.set(stream, origin);
    try {
      const result = stream instanceof DatagramStream ? stream.introduction() : await handshake(stream, {
        socketType: this.type,
        identity,
        dialed: dialer !== undefined,
        security,
        timeout: handshakeTimeout,
      });
      const conflate = this.options.conflate && CONFLATES.has(this.type);
      const limits = { messages: hwm, bytes: hwmBytes, conflate };
      connection = new ZmtpConnection(stream, result, this, limits, maxMessageSize, heartbeat);
      const refusal = this.admit(connection, dialer);
      if (refusal !== undefined) {
        stream.close(refusal);
        throw refusal;
      }
    } catch (thrown) {
      const error = thrown as Error;
      if (!this.#closed) onEvent({ type: "handshake-failed", endpoint, error, dialed: dialer !== undefined });
      return { error, wasReady: false, wasUseful: false };
    } finally {
      this.#greeting.delete(stream);
    }
    const { socketType, version, mechanism, userId } = connection.peer;
    this.connections.add(connection);
    this.#origins.set(connection, origin);
    this.#hadPeers = true;
    if (dialer !== undefined) dialer.reached = true;
    onEvent({ type: "connected", endpoint, socketType, version, mechanism, userId });
    this.onAttach(connection, dialer);
    connection.start();
    if (this.#paused) connection.pause();
    this.changed.fire();
    const error = await connection.closed;
    this.connections.delete(connection);
    this.#origins.delete(connection);
    this.onDetach(connection);
    this.changed.fire();
    onEvent({ type: "disconnected", endpoint, error });
    return { error, wasReady: true, wasUseful: connection.wasUseful(error) };
  }

  #usable(endpoint: string | Endpoint, binds: boolean): Endpoint {
    const parsed = toEndpoint(endpoint);
    if (parsed.scheme === "udp") {
      checkDatagrams(this.type, parsed, binds, this.options.security.name);
      return parsed;
    }
    if (carries(parsed, "frames")) return parsed;
    throw new EndpointError(
      `Cannot use ${parsed.scheme}:// with a ${this.type} socket: it takes ${
        schemesFor("frames").join(", ")
      }`,
    );
  }

  #assertOpen(): void {
    if (this.#closed) throw new ClosedError(`Cannot use this ${this.type} socket: it is closed`);
  }
}
