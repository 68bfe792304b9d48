import type { Batch } from "../zmtp/batch.ts";
import { byteLength } from "../zmtp/bytes.ts";
import type { Connection } from "../zmtp/connection.ts";
import { Inbox } from "./inbox.ts";
import { Socket } from "./socket.ts";

/** Takes messages in bulk: the batch and its bytes are valid during the call. */
export type Consumer = (batch: Batch, from: Connection) => void;

/** A socket that receives, from every peer in the order in which their bytes come. */
export abstract class Receiver extends Socket implements AsyncIterable<Uint8Array[]> {
  protected override readonly farewell = 0;
  #consumer: Consumer | undefined;
  #inbox: Inbox<Uint8Array[]> | undefined;

  /** Hands every message to `consumer` from now on, instead of to `receive`. Call it before the first peer comes. */
  consume(consumer: Consumer): void {
    this.#consumer = consumer;
  }

  /** The frames of the next message; undefined once the socket is closed, or has failed, and nothing is left. */
  receive(): Promise<Uint8Array[] | undefined> {
    return this.#box.take(this.failure === undefined);
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array[]> {
    for (let message = await this.receive(); message !== undefined; message = await this.receive()) {
      yield message;
    }
  }

  override async close(linger = 0): Promise<number> {
    const unsent = await super.close(linger);
    this.#box.end();
    return unsent;
  }

  protected override onFailure(): void {
    this.#box.dismiss();
  }

  override onBatch(from: Connection, batch: Batch): void {
    if (this.#consumer !== undefined) return this.#consumer(batch, from);
    for (let at = 0; at < batch.frames;) {
      const end = batch.messageEnd(at);
      this.#box.put(batch.copy(at, end));
      at = end;
    }
  }

  get #box(): Inbox<Uint8Array[]> {
    return this.#inbox ??= new Inbox<Uint8Array[]>(this, this.options, byteLength);
  }
}
