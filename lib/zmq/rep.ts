import { Batch } from "../zmtp/batch.ts";
import { EMPTY } from "../zmtp/bytes.ts";
import type { Connection } from "../zmtp/connection.ts";
import { Inbox } from "./inbox.ts";
import type { SocketOptions } from "./options.ts";
import { framesOf, type Outgoing } from "./sender.ts";
import { Socket } from "./socket.ts";

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
  readonly #inbox: Inbox<Request>;

  constructor(options: SocketOptions = {}) {
    super("REP", options);
    this.#inbox = new Inbox(this, this.options.hwm);
  }

  /** The next request; undefined once the socket is closed and nothing is left. */
  receive(): Promise<Request | undefined> {
    return this.#inbox.take();
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

  protected override onFailure(): void {
    this.#inbox.end();
  }

  override onBatch(from: Connection, batch: Batch): void {
    for (let at = 0; at < batch.frames;) {
      const end = batch.messageEnd(at);
      // The envelope goes through the first empty frame; a message without one is no request, and dropped (RFC 28).
      let body = at;
      while (body < end && batch.starts[body] !== batch.ends[body]) body++;
      if (++body < end) {
        this.#inbox.put(new PendingRequest(from, batch.copy(at, body - 1), batch.copy(body, end)));
      }
      at = end;
    }
  }
}

class PendingRequest implements Request {
  readonly frames: readonly Uint8Array[];
  readonly #from: Connection;
  readonly #envelope: Uint8Array[];
  #replied = false;

  constructor(from: Connection, envelope: Uint8Array[], frames: Uint8Array[]) {
    this.#from = from;
    this.#envelope = envelope;
    this.frames = frames;
  }

  get endpoint(): string {
    return this.#from.remote;
  }

  reply(message: Outgoing): void {
    if (this.#replied) throw new Error("Cannot reply twice to one request");
    this.#replied = true;
    const { outbox } = this.#from;
    const batch = Batch.of([...this.#envelope, EMPTY, ...framesOf(message)]);
    // A peer that asks and does not read loses its replies, as with libzmq; a closed one has no room either.
    if (outbox.room > 0) outbox.appendBatch(batch, 0, batch.frames);
    outbox.flush();
  }
}
