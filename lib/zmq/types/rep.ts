import { Batch } from "../../zmtp/batch.ts";
import { byteLength, EMPTY } from "../../zmtp/bytes.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import { Inbox } from "../incoming/inbox.ts";
import type { SocketOptions } from "../options.ts";
import { framesOf, type Outgoing } from "../sender.ts";
import { Socket } from "../socket.ts";

/** A request that wants exactly one reply. */
export interface Request {
  readonly frames: readonly Uint8Array[];
  /** Where it came from, in the form of an endpoint. */
  readonly endpoint: string;
  /** Sends the reply. One for a peer that went away is dropped; a second one is an error. */
  reply(message: Outgoing): void;
}

/**
 * REP (RFC 28): answers REQ and DEALER peers. Unlike libzmq's it does not insist on lockstep: each request carries
 * its own way back, so several may be worked on at a time and each peer still sees its replies as it should.
 */
export class Rep extends Socket implements AsyncIterable<Request> {
  readonly #inbox: Inbox<PendingRequest>;
  /** Requests of peers that are slow to take their replies. They wait until there is room, and the peers with them. */
  readonly #parked = new Map<ZmtpConnection, PendingRequest[]>();

  constructor(options: SocketOptions = {}) {
    super("REP", options);
    this.#inbox = new Inbox(this, this.options, (request) => byteLength(request.frames));
  }

  /** The next request; undefined once the socket is closed, or has failed, and nothing is left. */
  async receive(): Promise<Request | undefined> {
    for (;;) {
      const request = await this.#inbox.take(this.failure === undefined);
      if (request === undefined || !this.#park(request)) return request;
    }
  }

  /** Gives no further requests: every `receive`, pending ones too, resolves to undefined once the inbox is empty. */
  endReceiving(): void {
    this.pause();
    this.#inbox.end();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Request> {
    for (let request = await this.receive(); request !== undefined; request = await this.receive()) {
      yield request;
    }
  }

  override async close(linger = 0): Promise<number> {
    const unsent = await super.close(linger);
    this.#inbox.end();
    return unsent;
  }

  override resume(): void {
    super.resume();
    for (const connection of this.#parked.keys()) connection.pause();
  }

  protected override onFailure(): void {
    this.#inbox.dismiss();
  }

  protected override onDetach(connection: ZmtpConnection): void {
    this.#parked.delete(connection);
  }

  override onWritable(connection: ZmtpConnection): void {
    const requests = this.#parked.get(connection);
    if (requests !== undefined && connection.outbox.room > 0) {
      this.#parked.delete(connection);
      if (!this.paused) connection.resume();
      this.#inbox.putBack(requests);
    }
    super.onWritable(connection);
  }

  /** Whether a request has to wait, since its peer has not taken earlier replies. */
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

  override onBatch(from: ZmtpConnection, batch: Batch): void {
    for (let at = 0; at < batch.frames;) {
      const end = batch.messageEnd(at);
      // The envelope goes through the first empty frame; a message without one is no request, and dropped (RFC 28).
      let body = at;
      while (body < end && batch.starts[body] !== batch.ends[body]) body++;
      if (++body < end) {
        const envelope = batch.copy(at, body - 1);
        this.#inbox.put(new PendingRequest(this.connections, from, envelope, batch.copy(body, end)));
      }
      at = end;
    }
  }
}

class PendingRequest implements Request {
  readonly frames: readonly Uint8Array[];
  readonly from: ZmtpConnection;
  readonly #peers: ReadonlySet<ZmtpConnection>;
  readonly #envelope: Uint8Array[];
  #replied = false;

  constructor(
    peers: ReadonlySet<ZmtpConnection>,
    from: ZmtpConnection,
    envelope: Uint8Array[],
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
    if (this.#replied) throw new Error("Cannot reply twice to one request");
    const batch = Batch.of([...this.#envelope, EMPTY, ...framesOf(message)]);
    this.#replied = true;
    if (!this.#peers.has(this.from)) return;
    // No look at the room: `receive` held the request back while there was none.
    this.from.outbox.appendBatch(batch, 0, batch.frames);
    this.from.outbox.flush();
  }
}
