import { ClosedError, EndpointError, LimitError } from "../errors.ts";
import { type Endpoint, formatEndpoint, isWildcard, toEndpoint } from "../transport/endpoint.ts";
import { carries, schemesFor } from "../transport/schemes/table.ts";
import type { ByteStream, Listener } from "../transport/stream.ts";
import { listen } from "../transport/transport.ts";
import type { Batch } from "../zmtp/batch.ts";
import { type ConnectionOwner, ZmtpConnection } from "../zmtp/connection.ts";
import { handshake } from "../zmtp/handshake.ts";
import type { SocketType } from "../zmtp/socket_type.ts";
import { checkDatagrams, DatagramStream, listenDatagrams } from "./connections/datagrams.ts";
import { Dialer, type Ending } from "./connections/dialer.ts";
import { type ResolvedOptions, resolveOptions, type SocketOptions, transportOptions } from "./options.ts";
import { Signal } from "../transport/waiting.ts";

/** A handshake that takes longer than this is reported as an event, in milliseconds. */
const QUIET_MS = 2000;

/** The socket types whose peers' queues keep only the newest message with `conflate`. REQ and REP need every message. */
const CONFLATES: ReadonlySet<SocketType> = new Set(["PUB", "PUSH", "DEALER", "RADIO"]);

/** How long `close` waits for the peers to read everything and to close, in milliseconds. */
const FAREWELL_MS = 1000;
/** How long a peer that refused the connection before may take to do so again before messages are sent to it, in milliseconds. */
const PROBATION_MS = 300;

/** The endpoint that a peer belongs to. */
type Origin = Bound | Dialer;

/** A bound endpoint. */
interface Bound {
  listener?: Listener;
}

/**
 * The base of all socket types. A socket binds and connects to any number of endpoints, keeps the connections to its
 * peers, and closes them. {@link Sender}, {@link Receiver} and {@link Duplex} add `send` and `receive`.
 *
 * A socket is an `AsyncDisposable`: `await using socket = new Pull()` closes it at the end of the block.
 *
 * @example Bind, connect and close
 * ```ts
 * import { Pull, Push } from "@mqcat/mqcat";
 *
 * await using pull = new Pull();
 * await using push = new Push();
 * const endpoint = await pull.bind("tcp://127.0.0.1:0");
 * push.connect(endpoint);
 * await push.send("work");
 * console.assert((await pull.receive()) !== undefined);
 * await push.disconnect(endpoint);
 * await pull.unbind(endpoint);
 * ```
 */
export abstract class Socket implements AsyncDisposable {
  /** The socket type, for example `PULL`. */
  readonly type: SocketType;
  /** @ignore */
  protected readonly options: ResolvedOptions;
  /**
   * The peers that are ready.
   *
   * @ignore
   */
  protected readonly connections: Set<ZmtpConnection> = new Set();
  /**
   * Fires when a peer connects, disconnects or accepts data.
   *
   * @ignore
   */
  protected readonly changed: Signal = new Signal();
  /**
   * How long `close` lets the peers read the rest, in milliseconds; 0 for a type that sends nothing.
   *
   * @ignore
   */
  protected readonly farewell: number = FAREWELL_MS;
  /**
   * Whether to connect again to a peer that refused the first connection.
   *
   * @ignore
   */
  protected readonly retriesRefusal: boolean = false;

  /** What the connections call. It keeps these methods out of the public interface of the socket. */
  readonly #owner: ConnectionOwner = {
    onBatch: (from, batch) => {
      if (this.#accepts(from)) this.onBatch(from, batch);
    },
    onSubscription: (from, topic, subscribe) => {
      if (this.#accepts(from)) this.onSubscription(from, topic, subscribe);
    },
    onGroup: (from, group, join) => {
      if (this.#accepts(from)) this.onGroup(from, group, join);
    },
    onWritable: (connection) => this.onWritable(connection),
  };
  readonly #listeners = new Set<Bound>();
  readonly #dialers = new Set<Dialer>();
  /** Streams with a handshake under way, and their endpoints. */
  readonly #greeting = new Map<ByteStream, Origin>();
  readonly #origins = new Map<ZmtpConnection, Origin>();
  /** The connections to peers that may refuse again, each with the function that adds it to the ready peers. */
  readonly #probation = new Map<ZmtpConnection, () => boolean>();
  readonly #ending: Signal = new Signal();
  #closed = false;
  /** Whether peers are accepted: until the linger period of `close` is over. */
  #open = true;
  #paused = false;
  #failure: Error | undefined;
  #hadPeers = false;
  #refused = 0;

  /** @ignore */
  constructor(type: SocketType, options: SocketOptions) {
    this.type = type;
    this.options = resolveOptions(options);
  }

  /** Ends every wait for `change` or `writable` now, so that the waiting code checks its conditions again. */
  wake(): void {
    this.changed.fire();
  }

  /** The number of peers that are ready. */
  get peers(): number {
    return this.connections.size;
  }

  /** The last final error, once no endpoint is left that could bring a peer; otherwise undefined. */
  get failure(): Error | undefined {
    return this.#listeners.size + this.#dialers.size === 0 ? this.#failure : undefined;
  }

  /** Whether every endpoint that the socket connects to has had a peer, and no peer is left. */
  get abandoned(): boolean {
    if (!this.#hadPeers || this.connections.size > 0) return false;
    for (const dialer of this.#dialers) if (!dialer.reached) return false;
    return true;
  }

  /**
   * Waits until a peer connects, disconnects or accepts data.
   *
   * @param ms the longest wait, in milliseconds. Default: no limit
   * @returns a promise that resolves at the next change or after `ms` milliseconds
   */
  change(ms = Infinity): Promise<void> {
    return this.changed.wait(ms);
  }

  /**
   * Waits until the socket is closed or has failed; see `failure`. Other changes do not end the wait.
   *
   * @returns a promise that resolves at the next such change
   */
  ended(): Promise<void> {
    return this.#ending.wait();
  }

  /**
   * Listens for peers at an endpoint.
   *
   * @param endpoint for example `tcp://127.0.0.1:5555`; port 0 or `*` selects a free port
   * @returns the endpoint with its real port
   * @throws {EndpointError} the endpoint cannot be bound
   * @throws {AddressInUseError} another socket or process is bound to it
   * @throws {ClosedError} the socket is closed
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
   * Connects to a peer. It returns at once: the socket connects in the background, retries until the peer accepts, and
   * reconnects after a lost connection.
   *
   * @param endpoint for example `tcp://127.0.0.1:5555`
   * @throws {EndpointError} the endpoint cannot be connected to
   * @throws {ClosedError} the socket is closed
   */
  connect(endpoint: string | Endpoint): void {
    this.dial(endpoint);
  }

  /**
   * Keeps a connection to an endpoint; see `connect`.
   *
   * @ignore
   */
  protected dial(endpoint: string | Endpoint): Dialer {
    this.#assertOpen();
    const target = this.#usable(endpoint, false);
    if (isWildcard(target)) {
      throw new EndpointError(
        `Cannot connect to ${
          formatEndpoint(target)
        }: expected a host and a port, as port 0 and '*' are for binding`,
      );
    }
    const dialer: Dialer = new Dialer(
      target,
      this.options,
      (stream, name) => this.#serve(stream, name, dialer),
      this.retriesRefusal,
    );
    this.#dialers.add(dialer);
    dialer.done.then((failure) => {
      this.#dialers.delete(dialer);
      if (failure !== undefined) this.#failure = failure;
      this.#onFewerEndpoints();
    });
    return dialer;
  }

  /**
   * Stops listening at an endpoint and closes the connections that it accepted. Types that distribute messages
   * (PUSH, DEALER, CLIENT) send the unsent messages of these connections to other peers; other types lose them.
   *
   * @param endpoint the endpoint as `bind` returned it
   * @throws {EndpointError} the socket is not bound to it
   */
  async unbind(endpoint: string): Promise<void> {
    const bound = [...this.#listeners].find(({ listener }) => listener!.endpoint === endpoint);
    if (bound === undefined) throw new EndpointError(`Cannot unbind ${endpoint}: nothing is bound to it`);
    this.#listeners.delete(bound);
    const released = bound.listener!.close();
    this.#dismiss(bound);
    this.#onFewerEndpoints();
    await released;
  }

  /**
   * Cancels one call of `connect` and closes its connection. Unsent messages are handled as by `unbind`.
   *
   * @param endpoint the endpoint that was passed to `connect`
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
   * Closes the socket. It first sends the queued messages, for `linger` milliseconds at most; peers can reconnect during
   * that time. Then it lets every peer read to the end and closes the connections. A second call does nothing.
   *
   * @param linger how long to wait for unsent messages, in milliseconds. Default: 0
   * @returns the number of messages that were not sent, or that a peer refused
   */
  async close(linger = 0): Promise<number> {
    if (this.#closed) return 0;
    this.#closed = true;
    this.#ending.fire();
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
    // The reason of a refusal is the failure of the socket.
    if (this.#refused > 0) await Promise.all([...this.#dialers].map(({ done }) => done));
    return unsent + this.#refused;
  }

  /** Closes the socket as `close()` does: for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Whether `close` was called. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Whether peers are served: until the linger period of `close` is over.
   *
   * @ignore
   */
  protected get open(): boolean {
    return this.#open;
  }

  /** The number of messages that were written to peers that then refused the connection: they are lost. */
  get refused(): number {
    return this.#refused;
  }

  /** The number of queued messages that the operating system has not accepted. */
  get unsent(): number {
    let sum = 0;
    for (const connection of this.connections) sum += connection.outbox.unsent;
    return sum;
  }

  /**
   * Whether reading is paused by `pause`.
   *
   * @ignore
   */
  protected get paused(): boolean {
    return this.#paused;
  }

  /** Stops reading from all peers. Their messages then fill the buffers, and the peers stop sending. */
  pause(): void {
    this.#paused = true;
    for (const connection of this.connections) connection.pause();
  }

  /** Reads from all peers again after `pause`. */
  resume(): void {
    this.#paused = false;
    for (const connection of this.connections) {
      if (this.#paused) return;
      connection.resume();
    }
  }

  /**
   * Returns an error to refuse a peer after a successful handshake; the peer may retry.
   *
   * @ignore
   */
  protected admit(_connection: ZmtpConnection, _dialer: Dialer | undefined): Error | undefined {
    return undefined;
  }

  /**
   * Called when a peer is ready; with a dialer when this socket connected to it.
   *
   * @ignore
   */
  protected onAttach(_connection: ZmtpConnection, _dialer: Dialer | undefined): void {}

  /**
   * Called when a ready peer has disconnected.
   *
   * @ignore
   */
  protected onDetach(_connection: ZmtpConnection): void {}

  /**
   * Called when no endpoint is left that could bring a peer; `failure` is the reason.
   *
   * @ignore
   */
  protected onFailure(): void {}

  /**
   * Called with each batch of received messages. The default drops them, as libzmq does for types that only send.
   *
   * @ignore
   */
  protected onBatch(_from: ZmtpConnection, _batch: Batch): void {}

  /** @ignore */
  protected onSubscription(_from: ZmtpConnection, _topic: Uint8Array, _subscribe: boolean): void {}

  /** @ignore */
  protected onGroup(_from: ZmtpConnection, _group: Uint8Array, _join: boolean): void {}

  /**
   * Called when a peer's queue has room again.
   *
   * @ignore
   */
  protected onWritable(_connection: ZmtpConnection): void {
    this.changed.fire();
  }

  /** Ends all waits if no endpoint is left that could bring a peer. */
  #onFewerEndpoints(): void {
    if (this.failure !== undefined) {
      this.onFailure();
      this.#ending.fire();
    }
    this.changed.fire();
  }

  #dismiss(origin: Origin): void {
    for (const [stream, from] of this.#greeting) if (from === origin) stream.close();
    for (const [connection, from] of this.#origins) if (from === origin) connection.close();
  }

  /** Ends the probation of a peer that sends data: it is ready. Returns whether to deliver its data. */
  #accepts(from: ZmtpConnection): boolean {
    if (this.#probation.size === 0) return true;
    const attach = this.#probation.get(from);
    if (attach === undefined) return true;
    if (from.refused || !this.#open || !attach()) return false;
    this.#probation.delete(from);
    if (this.#paused) from.pause();
    return true;
  }

  #accept(stream: ByteStream, bound: Bound): void {
    if (!this.#open) return stream.close();
    if (this.connections.size + this.#greeting.size >= this.options.maxPeers) {
      const error = new LimitError(
        `Cannot accept another peer: the socket has ${this.options.maxPeers} peers, which is its limit`,
      );
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
    const quiet = dialer === undefined
      ? undefined
      : setTimeout(() => onEvent({ type: "waiting", endpoint }), QUIET_MS);
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
      connection = new ZmtpConnection(stream, result, this.#owner, limits, maxMessageSize, heartbeat);
      const refusal = this.admit(connection, dialer);
      if (refusal !== undefined) {
        connection.refuse(refusal);
        throw refusal;
      }
    } catch (thrown) {
      const error = thrown as Error;
      if (!this.#closed) onEvent({ type: "handshake-failed", endpoint, error, dialed: dialer !== undefined });
      return { error, wasReady: false, wasUseful: false };
    } finally {
      clearTimeout(quiet);
      this.#greeting.delete(stream);
    }
    const attach = () => {
      const { socketType, version, mechanism, userId } = connection.peer;
      this.connections.add(connection);
      this.#origins.set(connection, origin);
      this.#hadPeers = true;
      if (dialer !== undefined) dialer.reached = true;
      onEvent({ type: "connected", endpoint, socketType, version, mechanism, userId });
      this.onAttach(connection, dialer);
      this.changed.fire();
    };
    if (dialer?.refused) {
      const ending = await this.#startOnProbation(connection, dialer, endpoint, attach);
      if (ending !== undefined) return ending;
    } else {
      attach();
      connection.start();
      if (this.#paused) connection.pause();
    }
    const error = await connection.closed;
    this.connections.delete(connection);
    this.#origins.delete(connection);
    const wasRefused = connection.refused;
    if (wasRefused) this.#refused += connection.outbox.written;
    this.onDetach(connection);
    this.changed.fire();
    onEvent({ type: "disconnected", endpoint, error });
    return { error, wasReady: true, wasUseful: connection.wasUseful(error), wasRefused };
  }

  /**
   * Starts a connection to a peer that refused the last one. It becomes ready when it sends data, or after `PROBATION_MS`.
   *
   * @param attach adds the connection to the ready peers
   * @returns undefined if the connection is ready
   */
  async #startOnProbation(
    connection: ZmtpConnection,
    dialer: Dialer,
    endpoint: string,
    attach: () => void,
  ): Promise<Ending | undefined> {
    this.#origins.set(connection, dialer);
    let refusal: Error | undefined;
    const attachLate = () => {
      // Another peer may have been admitted meanwhile.
      refusal ??= this.admit(connection, dialer);
      if (refusal === undefined) attach();
      else connection.refuse(refusal);
      return refusal === undefined;
    };
    this.#probation.set(connection, attachLate);
    connection.start();
    // Data that arrived with the handshake may have ended the probation, and `start` resumes the stream.
    if (this.#paused && this.connections.has(connection)) connection.pause();
    const ended = connection.closed.then(() => true);
    const hasEnded = await Promise.race([ended, new Signal().wait(PROBATION_MS)]) === true;
    if (!this.#probation.delete(connection)) return undefined;
    if (!connection.refused && !hasEnded && !dialer.stopped && this.#open && attachLate()) {
      if (this.#paused) connection.pause();
      return undefined;
    }
    if (refusal === undefined) connection.close();
    const error = await connection.closed;
    this.#origins.delete(connection);
    if (refusal !== undefined) {
      this.options.onEvent({ type: "handshake-failed", endpoint, error: refusal, dialed: true });
      return { error: refusal, wasReady: false, wasUseful: false };
    }
    const wasRefused = connection.refused;
    return { error, wasReady: true, wasUseful: connection.wasUseful(error), wasRefused };
  }

  #usable(endpoint: string | Endpoint, binds: boolean): Endpoint {
    const parsed = toEndpoint(endpoint);
    if (parsed.scheme === "udp") {
      checkDatagrams(this.type, parsed, binds, this.options.security.name);
      return parsed;
    }
    if (carries(parsed, "frames")) return parsed;
    throw new EndpointError(
      `Cannot use ${parsed.scheme}:// with a ${this.type} socket: expected one of ${
        schemesFor("frames").join(", ")
      }`,
    );
  }

  #assertOpen(): void {
    if (this.#closed) throw new ClosedError(`Cannot use this ${this.type} socket: it is closed`);
  }
}
