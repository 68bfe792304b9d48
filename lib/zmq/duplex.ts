import type { Batch } from "../zmtp/batch.ts";
import type { ZmtpConnection } from "../zmtp/connection.ts";
import { type BatchConsumer, Mailbox } from "./incoming/mailbox.ts";
import { Sender } from "./sender.ts";
import type { WaitOptions } from "./wait_options.ts";

/**
 * The base of all socket types that send and receive at the same time.
 *
 * @example Send and receive
 * ```ts
 * import { Pair } from "@mqcat/mqcat";
 *
 * await using left = new Pair();
 * await using right = new Pair();
 * right.connect(await left.bind("tcp://127.0.0.1:0"));
 * await left.send("ping");
 * await right.send("pong");
 * const [frame] = await left.receive() ?? [];
 * console.assert(new TextDecoder().decode(frame) === "pong");
 * ```
 */
export abstract class Duplex extends Sender implements AsyncIterable<Uint8Array[]> {
  readonly #mailbox: Mailbox = new Mailbox(this, this.options);
  #lastPeer: ZmtpConnection | undefined;

  /**
   * Passes all messages to a function from now on, in batches, instead of to `receive`. Call it before the first peer
   * connects.
   *
   * @param consumer called with each batch, which is valid only during the call
   */
  consume(consumer: BatchConsumer): void {
    this.#mailbox.consume(consumer);
  }

  /**
   * Receives one message; it waits for it if none has arrived.
   *
   * @param options `signal` cancels the wait; no message is lost
   * @returns the frames of the message, or undefined when the socket is closed or has failed and no message is left
   * @throws the reason of `signal`
   */
  async receive(options?: WaitOptions): Promise<Uint8Array[] | undefined> {
    const received = await this.#mailbox.take(this.failure === undefined, options?.signal);
    this.#lastPeer = received?.from;
    return received?.frames;
  }

  /** Receives messages until the socket is closed or has failed: for `for await`. */
  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array[]> {
    for (let message = await this.receive(); message !== undefined; message = await this.receive()) {
      yield message;
    }
  }

  /**
   * Stops receiving. Every call of `receive`, waiting calls included, resolves to undefined once no message is left. The
   * socket can still send.
   */
  endReceiving(): void {
    this.pause();
    this.#mailbox.end();
  }

  /**
   * Closes the socket; see {@link Socket.close}. Waiting calls of `receive` resolve to undefined.
   *
   * @param linger how long to wait for unsent messages, in milliseconds. Default: 0
   * @returns the number of messages that were not sent
   */
  override async close(linger = 0): Promise<number> {
    const unsent = await super.close(linger);
    this.#mailbox.end();
    return unsent;
  }

  /**
   * The peer that sent the last message that `receive` returned.
   *
   * @ignore
   */
  protected get lastPeer(): ZmtpConnection | undefined {
    return this.#lastPeer;
  }

  /**
   * Passes messages to the consumer or to `receive`.
   *
   * @ignore
   */
  protected deliver(from: ZmtpConnection, batch: Batch): void {
    this.#mailbox.deliver(from, batch);
  }

  /** @ignore */
  protected override onFailure(): void {
    this.#mailbox.dismiss();
  }

  /** @ignore */
  protected override onBatch(from: ZmtpConnection, batch: Batch): void {
    this.deliver(from, batch);
  }
}
