import { ClosedError } from "../../errors.ts";
import { Batch } from "../../zmtp/batch.ts";
import { EMPTY } from "../../zmtp/bytes.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import { type ProbingOptions, sendProbe } from "../connections/router_probe.ts";
import { RoundRobin } from "../outgoing/round_robin.ts";
import { framesOf, type Outgoing } from "../sender.ts";
import { Socket } from "../socket.ts";
import type { WaitOptions } from "../wait_options.ts";

/** Options of {@link Req}. */
export interface ReqOptions extends ProbingOptions {
  /**
   * Whether to send a number in front of each request and to accept only the reply with this number (ZMQ_REQ_CORRELATE).
   * The peer is then not disconnected when a request is cancelled. Default: false.
   */
  readonly correlate?: boolean | undefined;
  /** Whether a new request may replace one that waits for its reply (ZMQ_REQ_RELAXED). Default: false. */
  readonly relaxed?: boolean | undefined;
}

/**
 * REQ (RFC 28): sends requests to REP and ROUTER peers in turn, one request at a time. When a peer disconnects before its
 * reply, the request is sent again to the next peer, so a service may receive a request twice.
 *
 * Inherited: `bind`, `connect`, `unbind`, `disconnect`, `close` from {@link Socket}.
 *
 * @example A request with a time limit
 * ```ts
 * import { Rep, Req } from "@mqcat/mqcat";
 *
 * await using rep = new Rep();
 * await using req = new Req();
 * req.connect(await rep.bind("tcp://127.0.0.1:0"));
 * const answer = req.request("ping", { signal: AbortSignal.timeout(5000) });
 * (await rep.receive())?.reply("pong");
 * console.assert(new TextDecoder().decode((await answer)[0]) === "pong");
 * ```
 */
export class Req extends Socket {
  readonly #roundRobin = new RoundRobin();
  readonly #correlate: boolean;
  readonly #relaxed: boolean;
  readonly #probe: boolean;
  /** The number of the last request. */
  #number: number = crypto.getRandomValues(new Uint32Array(1))[0]!;
  /** Cancels the current request in favour of a newer one. */
  #supersede: (() => void) | undefined;
  #current: Promise<unknown> | undefined;
  #peer: ZmtpConnection | undefined;
  #reply: Uint8Array[] | undefined;
  /** The address of the peer that sent the last reply, in the form of an endpoint; empty before the first reply. */
  lastPeer = "";

  /**
   * Creates the socket.
   *
   * @param options the options of the socket. Default: none
   * @throws {RangeError} an option is out of its range
   */
  constructor(options: ReqOptions = {}) {
    super("REQ", options);
    this.#correlate = options.correlate ?? false;
    this.#relaxed = options.relaxed ?? false;
    this.#probe = options.probe ?? false;
  }

  /**
   * Sends a request and waits for its reply. When the request is cancelled, its peer is disconnected, so that a late reply
   * is not taken for the reply to the next request; not with `correlate`.
   *
   * @param message the frame, or the frames, of the request
   * @param options `signal` cancels the request
   * @returns the frames of the reply
   * @throws {ClosedError} the socket was closed, or a newer request replaced this one (`relaxed`)
   * @throws {Error} another request waits for its reply, and the socket is not `relaxed`
   * @throws the reason of `signal`
   * @throws `failure`, when no endpoint is left that could bring a peer
   */
  async request(message: Outgoing, options?: WaitOptions): Promise<Uint8Array[]> {
    const frames = framesOf(message);
    if (this.#current !== undefined && !this.#relaxed) {
      throw new Error("Cannot send a request while another one waits for its reply");
    }
    // Several calls may wait for the current request to end: each replaces the one before.
    while (this.#current !== undefined) {
      this.#supersede?.();
      await this.#current.catch(() => {});
    }
    const current = this.#exchange(frames, options?.signal);
    this.#current = current;
    try {
      return await current;
    } finally {
      this.#current = undefined;
    }
  }

  async #exchange(frames: Uint8Array[], signal: AbortSignal | undefined): Promise<Uint8Array[]> {
    const batch = Batch.of(this.#correlate ? [this.#nextNumber(), EMPTY, ...frames] : [EMPTY, ...frames]);
    let superseded = false;
    const wake = () => this.changed.fire();
    this.#supersede = () => {
      superseded = true;
      wake();
    };
    const check = () => {
      if (signal?.aborted) throw signal.reason;
      if (superseded) throw new ClosedError("A newer request replaced this one");
    };
    signal?.addEventListener("abort", wake);
    try {
      for (;;) {
        const peer = await this.#until(() => this.#roundRobin.pick(), check);
        this.#peer = peer;
        peer.outbox.appendBatch(batch, 0, batch.frames);
        peer.outbox.flush();
        const reply = await this.#until(() => this.#peer === undefined ? "gone" : this.#reply, check);
        if (reply !== "gone") return reply;
        this.options.onEvent({ type: "request-again", endpoint: peer.remote });
      }
    } finally {
      signal?.removeEventListener("abort", wake);
      if (this.#reply === undefined && !this.#correlate) this.#peer?.close();
      this.#peer = this.#reply = undefined;
    }
  }

  /** Waits until `find` returns a value. */
  async #until<T>(find: () => T | undefined, check: () => void): Promise<T> {
    for (;;) {
      const found = find();
      if (found !== undefined) return found;
      check();
      if (this.failure !== undefined) throw this.failure;
      if (this.closed) throw new ClosedError("The REQ socket was closed before the reply arrived");
      await this.changed.wait();
    }
  }

  /**
   * Accepts only a reply from the peer of the request: the number, if any, an empty frame and the body (RFC 28).
   *
   * @ignore
   */
  protected override onBatch(from: ZmtpConnection, batch: Batch): void {
    if (from !== this.#peer || this.#reply !== undefined) return;
    for (let at = 0; at < batch.frames; at = batch.messageEnd(at)) {
      const end = batch.messageEnd(at);
      const delimiter = this.#correlate ? at + 1 : at;
      if (end < delimiter + 2 || batch.starts[delimiter] !== batch.ends[delimiter]) continue;
      if (this.#correlate && !this.#isNumber(batch.frame(at))) continue;
      this.#reply = batch.copy(delimiter + 1, end);
      this.lastPeer = from.remote;
      this.changed.fire();
      return;
    }
  }

  /** @ignore */
  protected override onAttach(connection: ZmtpConnection): void {
    if (this.#probe) sendProbe(connection);
    this.#roundRobin.add(connection);
  }

  /** @ignore */
  protected override onDetach(connection: ZmtpConnection): void {
    this.#roundRobin.drop(connection);
    if (connection === this.#peer && this.#reply === undefined) this.#peer = undefined;
  }

  /** The next number as four bytes, as in libzmq. */
  #nextNumber(): Uint8Array {
    const bytes = new Uint8Array(4);
    this.#number = this.#number + 1 >>> 0;
    new DataView(bytes.buffer).setUint32(0, this.#number);
    return bytes;
  }

  #isNumber(frame: Uint8Array): boolean {
    return frame.length === 4 && new DataView(frame.buffer, frame.byteOffset).getUint32(0) === this.#number;
  }
}
