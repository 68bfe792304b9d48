import { UnreachableError } from "../../errors.ts";
import type { Endpoint } from "../../transport/endpoint.ts";
import { keyOf, preview } from "../../zmtp/bytes.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import type { Dialer } from "../connections/dialer.ts";
import { checkIdentity } from "../options.ts";
import { type ProbingOptions, sendProbe } from "../connections/router_probe.ts";
import { RoutedSocket } from "../routed_socket.ts";

/** A routing id is contested when it was taken over this many times, each within so many milliseconds of the time before. */
const CONTESTED = 3;
const CONTESTED_MS = 10_000;
/** The limit for the routing ids whose last takeover is remembered. */
const MAX_TAKEOVERS = 1000;

/** Options of {@link Router}. */
export interface RouterOptions extends ProbingOptions {
  /**
   * Whether a message for an unknown routing id is an error, and a message for a peer whose queue is full waits
   * (ZMQ_ROUTER_MANDATORY). Default: false; such messages are dropped and counted.
   */
  readonly mandatory?: boolean | undefined;
  /**
   * Whether a new peer takes over a routing id that is in use, and the old peer is disconnected (ZMQ_ROUTER_HANDOVER).
   * Default: false; the new peer is refused.
   */
  readonly handover?: boolean | undefined;
}

/**
 * ROUTER (RFC 28): addresses REQ, DEALER and ROUTER peers by their routing ids. The first frame of each received message
 * is the routing id of its sender; the first frame of each sent message is the routing id of its recipient.
 *
 * Inherited: `bind`, `connect`, `unbind`, `disconnect`, `close` from {@link Socket}; `send` and `sendBatch` from
 * {@link Sender}; `receive`, `consume` and `for await` from {@link Duplex}.
 *
 * @example Answer a request
 * ```ts
 * import { Req, Router } from "@mqcat/mqcat";
 *
 * await using router = new Router();
 * await using req = new Req();
 * req.connect(await router.bind("tcp://127.0.0.1:0"));
 * const reply = req.request("ping");
 * const [id, delimiter] = await router.receive() ?? [];
 * await router.send([id!, delimiter!, "pong"]);
 * console.assert(new TextDecoder().decode((await reply)[0]) === "pong");
 * ```
 */
export class Router extends RoutedSocket {
  readonly #handover: boolean;
  readonly #probe: boolean;
  /** The routing ids that were passed to `connect`. */
  readonly #assigned = new WeakMap<Dialer, Uint8Array>();
  /** How often each routing id was taken over in a short time. */
  readonly #takeovers = new Map<string, { count: number; at: number }>();
  /** The next automatic id. The first one is random, so that the ids of two runs differ. */
  #next: number = crypto.getRandomValues(new Uint32Array(1))[0]!;

  /**
   * Creates the socket.
   *
   * @param options the options of the socket. Default: none
   * @throws {RangeError} an option is out of its range
   */
  constructor(options: RouterOptions = {}) {
    super("ROUTER", options, options.mandatory ?? false);
    this.#handover = options.handover ?? false;
    this.#probe = options.probe ?? false;
  }

  /**
   * Connects to a peer; see {@link Socket.connect}.
   *
   * @param endpoint for example `tcp://127.0.0.1:5555`
   * @param routingId the routing id of the peer, in place of the one that it announces (ZMQ_CONNECT_ROUTING_ID)
   * @throws {EndpointError} the endpoint cannot be connected to
   * @throws {RangeError} the routing id is empty, longer than 255 bytes, or begins with 00
   */
  override connect(endpoint: string | Endpoint, routingId?: Uint8Array | string): void {
    const id = routingId === undefined ? undefined : checkIdentity(routingId);
    const dialer = this.dial(endpoint);
    if (id !== undefined) this.#assigned.set(dialer, id);
  }

  /** @ignore */
  protected override admit(connection: ZmtpConnection, dialer: Dialer | undefined): Error | undefined {
    const id = this.#idOf(connection, dialer);
    const taken = id === undefined ? undefined : this.table.find(id);
    return taken === undefined || this.#handover
      ? undefined
      : new UnreachableError(`Another peer already has the routing id ${preview(id!)}`);
  }

  /** @ignore */
  protected override onAttach(connection: ZmtpConnection, dialer: Dialer | undefined): void {
    const id = this.#idOf(connection, dialer) ?? this.#automaticId();
    const taken = this.table.find(id)?.connection;
    if (taken !== undefined) {
      this.table.remove(taken);
      this.#countTakeover(id);
      taken.close(new UnreachableError(`Another peer took over the routing id ${preview(id)}`));
    }
    this.table.add(id, connection);
    if (this.#probe) sendProbe(connection);
  }

  /** Reports peers that disconnect each other again and again: each reconnects and takes the routing id back. */
  #countTakeover(id: Uint8Array): void {
    const key = keyOf(id);
    const now = performance.now();
    const last = this.#takeovers.get(key);
    const count = last !== undefined && now - last.at < CONTESTED_MS ? last.count + 1 : 1;
    if (last === undefined && this.#takeovers.size >= MAX_TAKEOVERS) this.#takeovers.clear();
    this.#takeovers.set(key, { count, at: now });
    if (count === CONTESTED) this.options.onEvent({ type: "contested", routingId: id.slice() });
  }

  #idOf(connection: ZmtpConnection, dialer: Dialer | undefined): Uint8Array | undefined {
    const assigned = dialer === undefined ? undefined : this.#assigned.get(dialer);
    const { identity } = connection.peer;
    return assigned ?? (identity.length > 0 ? identity : undefined);
  }

  /** 00 and four bytes, as in libzmq: an id that a user chose does not begin with 00. */
  #automaticId(): Uint8Array {
    for (;;) {
      const id = new Uint8Array(5);
      new DataView(id.buffer).setUint32(1, this.#next++);
      if (this.table.find(id) === undefined) return id;
    }
  }
}
