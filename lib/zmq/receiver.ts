import type { Batch } from "../zmtp/batch.ts";
import type { ZmtpConnection } from "../zmtp/connection.ts";
import { type Consumer, Mailbox } from "./incoming/mailbox.ts";
import { Socket } from "./socket.ts";

/** A socket that only receives, from every peer in the order in which their bytes come. */
export abstract class Receiver extends Socket implements AsyncIterable<Uint8Array[]> {
  protected override readonly farewell = 0;
  readonly #mailbox: Mailbox = new Mailbox(this, this.options);

  /** Hands every message to `consumer` from now on, instead of to `receive`. Call it before the first peer comes. */
  consume(consumer: Consumer): void {
    this.#mailbox.consume(consumer);
  }

  /** The frames of the next message; undefined once the socket is closed, or has failed, and nothing is left. */
  async receive(): Promise<Uint8Array[] | undefined> {
    return (await this.#mailbox.take(this.failure === undefined))?.frames;
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array[]> {
    for (let message = await this.receive(); message !== undefined; message = await this.receive()) {
      yield message;
    }
  }

  override async close(linger = 0): Promise<number> {
    const unsent = await super.close(linger);
    this.#mailbox.end();
    return unsent;
  }

  protected override onFailure(): void {
    this.#mailbox.dismiss();
  }

  override onBatch(from: ZmtpConnection, batch: Batch): void {
    this.#mailbox.deliver(from, batch);
  }
}
