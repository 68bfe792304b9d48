import type { Batch } from "../zmtp/batch.ts";
import type { ZmtpConnection } from "../zmtp/connection.ts";
import { type BatchConsumer, Mailbox } from "./incoming/mailbox.ts";
import { Socket } from "./socket.ts";
import type { WaitOptions } from "./wait_options.ts";

/**
 * The base of all socket types that only receive. Messages of all peers are received in the order of their arrival.
 *
 * @example Receive with `for await`
 * ```ts
 * import { Pull, Push } from "@mqcat/mqcat";
 *
 * await using pull = new Pull();
 * await using push = new Push();
 * push.connect(await pull.bind("tcp://127.0.0.1:0"));
 * await push.send("work");
 * for await (const [frame] of pull) {
 *   console.assert(new TextDecoder().decode(frame) === "work");
 *   break;
 * }
 * ```
 */
export abstract class Receiver extends Socket implements AsyncIterable<Uint8Array[]> {
  /** @ignore */
  protected override readonly farewell = 0;
  readonly #mailbox: Mailbox = new Mailbox(this, this.options);

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
    return (await this.#mailbox.take(this.failure === undefined, options?.signal))?.frames;
  }

  /** Receives messages until the socket is closed or has failed: for `for await`. */
  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array[]> {
    for (let message = await this.receive(); message !== undefined; message = await this.receive()) {
      yield message;
    }
  }

  /**
   * Closes the socket; see {@link Socket.close}. Waiting calls of `receive` resolve to undefined.
   *
   * @param linger without effect, as the socket sends nothing
   * @returns 0
   */
  override async close(linger = 0): Promise<number> {
    const unsent = await super.close(linger);
    this.#mailbox.end();
    return unsent;
  }

  /** @ignore */
  protected override onFailure(): void {
    this.#mailbox.dismiss();
  }

  /** @ignore */
  protected override onBatch(from: ZmtpConnection, batch: Batch): void {
    this.#mailbox.deliver(from, batch);
  }
}
