import { ClosedError } from "../../errors.ts";
import { Batch, MORE } from "../../zmtp/batch.ts";
import { EMPTY } from "../../zmtp/bytes.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import { writeUint32 } from "../../zmtp/frame_encoder.ts";
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
 * Receives the outcome of a request; see {@link Req.ask}.
 *
 * @example Print the length of a reply
 * ```ts
 * import type { Asker } from "@mqcat/mqcat";
 *
 * const asker: Asker = {
 *   onReply: (batch, from, to) => console.log(batch.countBytes(from, to)),
 *   onFailure: (error) => console.error(error),
 * };
 * ```
 */
export interface Asker {
  /**
   * The reply arrived: the frames `[from, to)` of a batch that is valid during the call only. The next request may be sent
   * in the call.
   */
  onReply(batch: Batch, from: number, to: number): void;
  /** There is no reply. `error` is the reason that {@link Req.request} rejects with. */
  onFailure(error: unknown): void;
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
  /** The request that waits for its reply: its asker, its frames, and the peer that it was sent to. */
  #asker: Asker | undefined;
  #batch: Batch | undefined;
  #from = 0;
  #to = 0;
  #peer: ZmtpConnection | undefined;
  /** The message of the last call of `request`. */
  readonly #own = new Batch();
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
   * @param message the frame, or the frames, of the request. Do not change their bytes before the reply
   * @param options `signal` cancels the request
   * @returns the frames of the reply
   * @throws {ClosedError} the socket was closed, or a newer request replaced this one (`relaxed`)
   * @throws {Error} another request waits for its reply, and the socket is not `relaxed`
   * @throws the reason of `signal`
   * @throws `failure`, when no endpoint is left that could bring a peer
   */
  request(message: Outgoing, options?: WaitOptions): Promise<Uint8Array[]> {
    return new Promise((resolve, reject) => {
      const frames = framesOf(message);
      const signal = options?.signal;
      signal?.throwIfAborted();
      if (this.#asker !== undefined) this.#supersede();
      const batch = this.#own;
      batch.assign(frames);
      const abort = () => this.cancel(signal!.reason);
      signal?.addEventListener("abort", abort);
      const release = () => {
        signal?.removeEventListener("abort", abort);
        // An idle socket must not keep the memory of the last request.
        batch.bytes = EMPTY;
      };
      this.ask(batch, 0, batch.frames, {
        onReply(reply, from, to) {
          release();
          resolve(reply.copy(from, to));
        },
        onFailure(error) {
          release();
          reject(error);
        },
      });
    });
  }

  /**
   * Sends a request as `request` does, without a promise and without a copy of the reply.
   *
   * @param batch the request, which must not change until the call of `asker`
   * @param from the first frame of the request
   * @param to the index after its last frame
   * @param asker called once, with the reply or with the reason for the failure
   * @throws {Error} another request waits for its reply, and the socket is not `relaxed`
   */
  ask(batch: Batch, from: number, to: number, asker: Asker): void {
    if (this.#asker !== undefined) this.#supersede();
    this.#asker = asker;
    this.#batch = batch;
    this.#from = from;
    this.#to = to;
    if (this.#correlate) this.#number = this.#number + 1 >>> 0;
    this.#send();
  }

  /**
   * Cancels the request that waits for its reply, if there is one.
   *
   * @param reason the reason, which the request is rejected with
   */
  cancel(reason: unknown): void {
    const asker = this.#asker;
    if (asker === undefined) return;
    const peer = this.#peer;
    this.#asker = this.#batch = this.#peer = undefined;
    if (peer !== undefined && !this.#correlate) {
      // Its late reply must not be taken for the reply to the next request.
      this.#roundRobin.drop(peer);
      peer.close();
    }
    asker.onFailure(reason);
  }

  /**
   * Closes the socket; see {@link Socket.close}. A request that waits for its reply is rejected.
   *
   * @param linger how long to wait for an unsent request, in milliseconds. Default: 0
   * @returns the number of requests that were not sent
   */
  override close(linger = 0): Promise<number> {
    const closed = super.close(linger);
    this.cancel(closedEarly());
    return closed;
  }

  #supersede(): void {
    if (!this.#relaxed) throw new Error("Cannot send a request while another one waits for its reply");
    this.cancel(new ClosedError("A newer request replaced this one"));
  }

  /** Sends the current request to the next peer, or waits for a peer. */
  #send(): void {
    if (this.#asker === undefined || this.#peer !== undefined) return;
    const peer = this.#roundRobin.pick();
    if (peer === undefined) {
      if (this.failure !== undefined) this.cancel(this.failure);
      else if (this.closed) this.cancel(closedEarly());
      return;
    }
    this.#peer = peer;
    const { outbox } = peer;
    if (this.#correlate) outbox.appendFrame(numberFrame(this.#number), MORE);
    outbox.appendFrame(EMPTY, MORE);
    outbox.appendBatch(this.#batch!, this.#from, this.#to);
    outbox.flush();
  }

  readonly #sendLater = (): void => this.#send();

  /**
   * Accepts only a reply from the peer of the request: the number, if any, an empty frame and the body (RFC 28).
   *
   * @ignore
   */
  protected override onBatch(from: ZmtpConnection, batch: Batch): void {
    if (from !== this.#peer) return;
    for (let at = 0; at < batch.frames; at = batch.messageEnd(at)) {
      const end = batch.messageEnd(at);
      const delimiter = this.#correlate ? at + 1 : at;
      if (end < delimiter + 2 || batch.starts[delimiter] !== batch.ends[delimiter]) continue;
      if (this.#correlate && !this.#isNumber(batch.frame(at))) continue;
      const asker = this.#asker!;
      this.#asker = this.#batch = this.#peer = undefined;
      this.lastPeer = from.remote;
      asker.onReply(batch, delimiter + 1, end);
      // Further messages of the batch are not replies to a request that is sent only now.
      return;
    }
  }

  /** @ignore */
  protected override onAttach(connection: ZmtpConnection): void {
    if (this.#probe) sendProbe(connection);
    this.#roundRobin.add(connection);
    queueMicrotask(this.#sendLater);
  }

  /** @ignore */
  protected override onDetach(connection: ZmtpConnection): void {
    this.#roundRobin.drop(connection);
    if (connection !== this.#peer) return;
    this.#peer = undefined;
    const asker = this.#asker;
    queueMicrotask(() => {
      if (this.#asker !== asker || this.#peer !== undefined) return;
      this.options.onEvent({ type: "request-again", endpoint: connection.remote });
      this.#send();
    });
  }

  /** @ignore */
  protected override onWritable(connection: ZmtpConnection): void {
    this.#send();
    super.onWritable(connection);
  }

  /** @ignore */
  protected override onFailure(): void {
    if (this.failure !== undefined) this.cancel(this.failure);
  }

  #isNumber(frame: Uint8Array): boolean {
    return frame.length === 4 && new DataView(frame.buffer, frame.byteOffset).getUint32(0) === this.#number;
  }
}

/** A number as four bytes, as in libzmq. */
function numberFrame(number: number): Uint8Array {
  const bytes = new Uint8Array(4);
  writeUint32(bytes, 0, number);
  return bytes;
}

function closedEarly(): ClosedError {
  return new ClosedError("The REQ socket was closed before the reply arrived");
}
