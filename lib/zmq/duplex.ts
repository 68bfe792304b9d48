import type { Batch } from "../zmtp/batch.ts";
import type { ZmtpConnection } from "../zmtp/connection.ts";
import { type Consumer, Mailbox } from "./incoming/mailbox.ts";
import { Sender } from "./sender.ts";

/** A socket that sends and receives, in both directions at once. */
export abstract class Duplex extends Sender implements AsyncIterable<Uint8Array[]> {
  readonly #mailbox: Mailbox = new Mailbox(this, this.options);
  #lastPeer: ZmtpConnection | undefined;

  /** Hands every message to `consumer` from now on, instead of to `receive`. Call it before the first peer comes. */
  consume(consumer: Consumer): void {
    this.#mailbox.consume(consumer);
  }

  /** The frames of the next message; undefined once the socket is closed, or has failed, and nothing is left. */
  async receive(): Promise<Uint8Array[] | undefined> {
    const received = await this.#mailbox.take(this.failure === undefined);
    this.#lastPeer = received?.from;
    return received?.frames;
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array[]> {
    for (let message = await this.receive(); message !== undefined; message = await this.receive()) {
      yield message;
    }
  }

  /** Gives no further messages: every `receive`, pending ones too, resolves to undefined once what came is taken. */
  endReceiving(): void {
    this.pause();
    this.#mailbox.end();
  }

  override async close(linger = 0): Promise<number> {
    const unsent = await super.close(linger);
    this.#mailbox.end();
    return unsent;
  }

  /** The peer whose message `receive` gave last. */
  protected get lastPeer(): ZmtpConnection | undefined {
    return this.#lastPeer;
  }

  /** Hands messages to whoever receives. */
  protected deliver(from: ZmtpConnection, batch: Batch): void {
    this.#mailbox.deliver(from, batch);
  }

  protected override onFailure(): void {
    this.#mailbox.dismiss();
  }

  override onBatch(from: ZmtpConnection, batch: Batch): void {
    this.deliver(from, batch);
  }
}
