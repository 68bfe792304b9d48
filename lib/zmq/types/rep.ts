import { type Batch, MORE } from "../../zmtp/batch.ts";
import { byteLength, EMPTY } from "../../zmtp/bytes.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import { Inbox } from "../incoming/inbox.ts";
import type { SocketOptions } from "../options.ts";
import { framesOf, type Outgoing } from "../sender.ts";
import { Socket } from "../socket.ts";
import type { WaitOptions } from "../wait_options.ts";

/** A received request. It must be answered at most once. */
export interface IncomingRequest {
  /** The frames of the body. */
  readonly frames: readonly Uint8Array[];
  /** The address of the peer that sent the request, in the form of an endpoint. */
  readonly endpoint: string;
  /**
   * Sends the reply. It is dropped if the peer has disconnected.
   *
   * @param message the frame, or the frames, of the reply
   * @throws {Error} the request has been answered before
   */
  reply(message: Outgoing): void;
}

/**
 * REP (RFC 28): receives requests from REQ and DEALER peers and sends the replies. Several requests can be processed at
 * the same time and answered in any order, which libzmq does not allow: each request knows the peer that its reply goes to.
 *
 * Inherited: `bind`, `connect`, `unbind`, `disconnect`, `close` from {@link Socket}.
 *
 * @example Answer one request
 * ```ts
 * import { Rep, Req } from "@mqcat/mqcat";
 *
 * await using rep = new Rep();
 * await using req = new Req();
 * req.connect(await rep.bind("tcp://127.0.0.1:0"));
 * const answer = req.request("ping");
 * const request = await rep.receive();
 * request?.reply("pong");
 * console.assert(new TextDecoder().decode((await answer)[0]) === "pong");
 * ```
 */
export class Rep extends Socket implements AsyncIterable<IncomingRequest> {
  readonly #inbox: Inbox<PendingRequest>;
  /** Requests of paused peers whose queue for replies is full. They continue when there is room. */
  readonly #parked = new Map<ZmtpConnection, PendingRequest[]>();

  /**
   * Creates the socket.
   *
   * @param options the options of the socket. Default: none
   * @throws {RangeError} an option is out of its range
   */
  constructor(options: SocketOptions = {}) {
    super("REP", options);
    this.#inbox = new Inbox(this, this.options, (request) => byteLength(request.frames));
  }

  /**
   * Receives one request; it waits for it if none has arrived.
   *
   * @param options `signal` cancels the wait; no request is lost
   * @returns the request, or undefined when the socket is closed or has failed and no request is left
   * @throws the reason of `signal`
   */
  async receive(options?: WaitOptions): Promise<IncomingRequest | undefined> {
    for (;;) {
      const request = await this.#inbox.take(this.failure === undefined, options?.signal);
      if (request === undefined || !this.#park(request)) return request;
    }
  }

  /**
   * Stops receiving. Every call of `receive`, waiting calls included, resolves to undefined once no request is left. Replies
   * can still be sent.
   */
  endReceiving(): void {
    this.pause();
    this.#inbox.end();
  }

  /** Receives requests until the socket is closed or has failed: for `for await`. */
  async *[Symbol.asyncIterator](): AsyncIterator<IncomingRequest> {
    for (let request = await this.receive(); request !== undefined; request = await this.receive()) {
      yield request;
    }
  }

  /**
   * Closes the socket; see {@link Socket.close}. Waiting calls of `receive` resolve to undefined.
   *
   * @param linger how long to wait for unsent replies, in milliseconds. Default: 0
   * @returns the number of replies that were not sent
   */
  override async close(linger = 0): Promise<number> {
    const unsent = await super.close(linger);
    this.#inbox.end();
    return unsent;
  }

  /** Reads from all peers again after `pause`, except from those that do not read their replies. */
  override resume(): void {
    super.resume();
    for (const connection of this.#parked.keys()) connection.pause();
  }

  /** @ignore */
  protected override onFailure(): void {
    this.#inbox.dismiss();
  }

  /** @ignore */
  protected override onDetach(connection: ZmtpConnection): void {
    this.#parked.delete(connection);
  }

  /** @ignore */
  protected override onWritable(connection: ZmtpConnection): void {
    const requests = this.#parked.get(connection);
    if (requests !== undefined && connection.outbox.room > 0) {
      this.#parked.delete(connection);
      if (!this.paused) connection.resume();
      this.#inbox.putBack(requests);
    }
    super.onWritable(connection);
  }

  /** Parks a request if the queue for replies to its peer is full. @returns whether it was parked */
  #park(request: PendingRequest): boolean {
    const { from } = request;
    const parked = this.#parked.get(from);
    if (parked !== undefined) parked.push(request);
    else if (from.outbox.room === 0 && this.connections.has(from)) {
      this.#parked.set(from, [request]);
      from.pause();
    } else return false;
    return true;
  }

  /** @ignore */
  protected override onBatch(from: ZmtpConnection, batch: Batch): void {
    for (let at = 0; at < batch.frames;) {
      const end = batch.messageEnd(at);
      // The envelope ends with the first empty frame. A message without one is not a request and is dropped (RFC 28).
      let body = at;
      while (body < end && batch.starts[body] !== batch.ends[body]) body++;
      if (++body < end) {
        const envelope = body - 1 === at ? NO_FRAMES : batch.copy(at, body - 1);
        this.#inbox.put(new PendingRequest(this.connections, from, envelope, batch.copy(body, end)));
      }
      at = end;
    }
  }
}

const NO_FRAMES: readonly Uint8Array[] = [];

class PendingRequest implements IncomingRequest {
  readonly frames: readonly Uint8Array[];
  readonly from: ZmtpConnection;
  readonly #peers: ReadonlySet<ZmtpConnection>;
  readonly #envelope: readonly Uint8Array[];
  #replied = false;

  constructor(
    peers: ReadonlySet<ZmtpConnection>,
    from: ZmtpConnection,
    envelope: readonly Uint8Array[],
    frames: Uint8Array[],
  ) {
    this.#peers = peers;
    this.from = from;
    this.#envelope = envelope;
    this.frames = frames;
  }

  get endpoint(): string {
    return this.from.remote;
  }

  reply(message: Outgoing): void {
    if (this.#replied) throw new Error("Cannot reply twice to the same request");
    const frames = framesOf(message);
    this.#replied = true;
    if (!this.#peers.has(this.from)) return;
    // There is room: `receive` parks a request while there is none.
    const { outbox } = this.from;
    for (const frame of this.#envelope) outbox.appendFrame(frame, MORE);
    outbox.appendFrame(EMPTY, MORE);
    for (let i = 0; i < frames.length; i++) outbox.appendFrame(frames[i]!, i < frames.length - 1 ? MORE : 0);
    outbox.flush();
  }
}
