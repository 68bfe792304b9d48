import { ClosedError } from "../../errors.ts";
import { Batch } from "../../zmtp/batch.ts";
import { EMPTY } from "../../zmtp/bytes.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import { type ProbingOptions, sendProbe } from "../probe.ts";
import { RoundRobin } from "../outgoing/round_robin.ts";
import { framesOf, type Outgoing } from "../sender.ts";
import { Socket } from "../socket.ts";

/** What a REQ socket can be told besides. */
export interface ReqOptions extends ProbingOptions {
  /**
   * Whether each request has a number in front, and only the reply with that number counts (ZMQ_REQ_CORRELATE). A peer
   * that was asked in vain then need not be disconnected. False unless told.
   */
  readonly correlate?: boolean | undefined;
  /** Whether a new request may take the place of one that waits for its reply (ZMQ_REQ_RELAXED). False unless told. */
  readonly relaxed?: boolean | undefined;
}

/**
 * REQ (RFC 28): asks REP peers in turn, one request at a time. When the peer that was asked goes away before it
 * replied, the request is sent again to whichever peer is there next: a service may see it twice.
 */
export class Req extends Socket {
  readonly #circle = new RoundRobin();
  readonly #correlate: boolean;
  readonly #relaxed: boolean;
  readonly #probe: boolean;
  /** The number of the last request. */
  #number: number = crypto.getRandomValues(new Uint32Array(1))[0]!;
  /** Ends the request under way, in favour of a newer one. */
  #supersede: (() => void) | undefined;
  #under: Promise<unknown> | undefined;
  #asked: ZmtpConnection | undefined;
  #reply: Uint8Array[] | undefined;
  /** Where the last reply came from, in the form of an endpoint. */
  lastPeer = "";

  constructor(options: ReqOptions = {}) {
    super("REQ", options);
    this.#correlate = options.correlate ?? false;
    this.#relaxed = options.relaxed ?? false;
    this.#probe = options.probe ?? false;
  }

  /**
   * Sends a request and waits for its reply, for as long as it takes unless `signal` ends that. A peer that was asked
   * in vain is disconnected, so that its late reply is not taken for the next one's; not so with `correlate`.
   *
   * @returns the frames of the reply
   * @throws {ClosedError} the socket was closed meanwhile, or a newer request took the place of this one (`relaxed`)
   * @throws the reason of `signal`
   */
  async request(message: Outgoing, signal?: AbortSignal): Promise<Uint8Array[]> {
    const frames = framesOf(message);
    if (this.#under !== undefined && !this.#relaxed) {
      throw new Error("Cannot send a request while another one waits for its reply");
    }
    // Several may come before the one under way has ended: each takes the place of the one before.
    while (this.#under !== undefined) {
      this.#supersede?.();
      await this.#under.catch(() => {});
    }
    const asking = this.#ask(frames, signal);
    this.#under = asking;
    try {
      return await asking;
    } finally {
      this.#under = undefined;
    }
  }

  async #ask(frames: Uint8Array[], signal: AbortSignal | undefined): Promise<Uint8Array[]> {
    const batch = Batch.of(this.#correlate ? [this.#nextNumber(), EMPTY, ...frames] : [EMPTY, ...frames]);
    let superseded = false;
    const wake = () => this.changed.fire();
    this.#supersede = () => {
      superseded = true;
      wake();
    };
    const over = () => {
      if (signal?.aborted) throw signal.reason;
      if (superseded) throw new ClosedError("A newer request took the place of this one");
    };
    signal?.addEventListener("abort", wake);
    try {
      for (;;) {
        const peer = await this.#until(() => this.#circle.pick(), over);
        this.#asked = peer;
        peer.outbox.appendBatch(batch, 0, batch.frames);
        peer.outbox.flush();
        const reply = await this.#until(() => this.#asked === undefined ? "gone" : this.#reply, over);
        if (reply !== "gone") return reply;
        this.options.onEvent({ type: "request-again", endpoint: peer.remote });
      }
    } finally {
      signal?.removeEventListener("abort", wake);
      if (this.#reply === undefined && !this.#correlate) this.#asked?.close();
      this.#asked = this.#reply = undefined;
    }
  }

  async #until<T>(look: () => T | undefined, over: () => void): Promise<T> {
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      over();
      if (this.failure !== undefined) throw this.failure;
      if (this.closed) throw new ClosedError("The REQ socket was closed before the reply came");
      await this.changed.wait();
    }
  }

  /** Only a reply counts: an empty frame and a body, from the peer that was asked (RFC 28), behind the number if any. */
  override onBatch(from: ZmtpConnection, batch: Batch): void {
    if (from !== this.#asked || this.#reply !== undefined) return;
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

  protected override onAttach(connection: ZmtpConnection): void {
    if (this.#probe) sendProbe(connection);
    this.#circle.add(connection);
  }

  protected override onDetach(connection: ZmtpConnection): void {
    this.#circle.drop(connection);
    if (connection === this.#asked && this.#reply === undefined) this.#asked = undefined;
  }

  /** Four bytes, as libzmq makes them. */
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
