import { UnreachableError } from "../../errors.ts";
import type { Endpoint } from "../../transport/endpoint.ts";
import { preview } from "../../zmtp/bytes.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import type { Dialer } from "../dialer.ts";
import { checkIdentity } from "../options.ts";
import { type ProbingOptions, sendProbe } from "../probe.ts";
import { Routing } from "../routing.ts";

/** What a ROUTER socket can be told besides. */
export interface RouterOptions extends ProbingOptions {
  /**
   * Whether a message to a routing id that nobody has is an error, and one for a peer whose queue is full waits
   * (ZMQ_ROUTER_MANDATORY). Unless told they are dropped, and counted.
   */
  readonly mandatory?: boolean | undefined;
  /** Whether a peer with a routing id that is taken gets it, and the other one is closed (ZMQ_ROUTER_HANDOVER). */
  readonly handover?: boolean | undefined;
}

/**
 * ROUTER (RFC 28): talks to REQ, DEALER and ROUTER peers by their routing ids. The first frame of each message that comes
 * is the id of its peer; the first frame of each message that goes says for whom it is.
 *
 * @example Answer a request
 * ```ts
 * import { Req, Router } from "../../../mod.ts";
 * const router = new Router();
 * const req = new Req();
 * req.connect(await router.bind("tcp://127.0.0.1:0"));
 * const reply = req.request("ping");
 * const [id, delimiter] = await router.receive() ?? [];
 * await router.send([id!, delimiter!, "pong"]);
 * console.assert(new TextDecoder().decode((await reply)[0]) === "pong");
 * await Promise.all([router.close(), req.close()]);
 * ```
 */
export class Router extends Routing {
  readonly #handover: boolean;
  readonly #probe: boolean;
  /** The ids that `connect` gave to the peers of some endpoints. */
  readonly #given = new WeakMap<Dialer, Uint8Array>();
  /** Where the automatic ids go on. A random start keeps those of two runs apart. */
  #next: number = crypto.getRandomValues(new Uint32Array(1))[0]!;

  constructor(options: RouterOptions = {}) {
    super("ROUTER", options, options.mandatory ?? false);
    this.#handover = options.handover ?? false;
    this.#probe = options.probe ?? false;
  }

  /**
   * Connects, as every socket does; with `routingId` the peer there has this id, whatever it says of itself
   * (ZMQ_CONNECT_ROUTING_ID).
   *
   * @throws {RangeError} the id is empty, over 255 bytes, or begins with 00
   */
  override connect(endpoint: string | Endpoint, routingId?: Uint8Array | string): void {
    const id = routingId === undefined ? undefined : checkIdentity(routingId);
    const dialer = this.dial(endpoint);
    if (id !== undefined) this.#given.set(dialer, id);
  }

  protected override admit(connection: ZmtpConnection, dialer: Dialer | undefined): Error | undefined {
    const id = this.#idOf(connection, dialer);
    const taken = id === undefined ? undefined : this.routes.find(id);
    return taken === undefined || this.#handover
      ? undefined
      : new UnreachableError(`Another peer has the routing id ${preview(id!)} already`);
  }

  protected override onAttach(connection: ZmtpConnection, dialer: Dialer | undefined): void {
    const id = this.#idOf(connection, dialer) ?? this.#automaticId();
    const taken = this.routes.find(id)?.connection;
    if (taken !== undefined) {
      this.routes.remove(taken);
      taken.close(new UnreachableError(`Another peer took the routing id ${preview(id)} over`));
    }
    this.routes.add(id, connection);
    if (this.#probe) sendProbe(connection);
  }

  #idOf(connection: ZmtpConnection, dialer: Dialer | undefined): Uint8Array | undefined {
    const given = dialer === undefined ? undefined : this.#given.get(dialer);
    const { identity } = connection.peer;
    return given ?? (identity.length > 0 ? identity : undefined);
  }

  /** 00 and four bytes, as libzmq makes them: no id that a user chose begins so. */
  #automaticId(): Uint8Array {
    for (;;) {
      const id = new Uint8Array(5);
      new DataView(id.buffer).setUint32(1, this.#next++);
      if (this.routes.find(id) === undefined) return id;
    }
  }
}
