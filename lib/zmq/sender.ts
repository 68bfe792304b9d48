import { ClosedError, LimitError } from "../errors.ts";
import { Batch } from "../zmtp/batch.ts";
import { byteLength, EMPTY, utf8 } from "../zmtp/bytes.ts";
import { MAX_MESSAGE_SIZE } from "./options.ts";
import { Socket } from "./socket.ts";
import { abortable, type WaitOptions } from "./wait_options.ts";

/** One message for `send`: one frame or several frames. Text is sent as UTF-8. */
export type Outgoing = Uint8Array | string | readonly (Uint8Array | string)[];

/** The frames of an outgoing message. */
export function framesOf(message: Outgoing): Uint8Array[] {
  const parts = typeof message === "string" || message instanceof Uint8Array ? [message] : message;
  if (parts.length === 0) {
    throw new TypeError("Cannot send a message without frames: an empty message is one empty frame");
  }
  return parts.map((part) => typeof part === "string" ? utf8(part) : part);
}

/**
 * The base of all socket types that send: `send` for one message, `sendBatch` for many.
 *
 * @example Send many messages and respect the high-water mark
 * ```ts
 * import { Batch, Pull, Push } from "@mqcat/mqcat";
 *
 * await using pull = new Pull();
 * await using push = new Push();
 * push.connect(await pull.bind("tcp://127.0.0.1:0"));
 * const frame = new TextEncoder().encode("work");
 * const batch = Batch.ofMessages([[frame], [frame], [frame]]);
 * for (let at = 0; at < batch.frames;) {
 *   at = push.sendBatch(batch, at);
 *   if (at < batch.frames) await push.writable();
 * }
 * for (let i = 0; i < 3; i++) console.assert((await pull.receive()) !== undefined);
 * ```
 */
export abstract class Sender extends Socket {
  /** Settles when the last waiting call of `send` is done. */
  #turn: Promise<void> = Promise.resolve();
  #waiting = 0;
  /** The message of a call of `send` that does not wait. */
  readonly #single = new Batch();

  /**
   * Queues as many whole messages as the queues of the peers have room for, and starts to write them.
   *
   * @param batch the messages
   * @param from the first frame to send. Default: 0
   * @returns the first frame that was not queued, or `batch.frames`. If it is less, wait for `writable` and continue
   * from this frame
   */
  abstract sendBatch(batch: Batch, from?: number): number;

  /**
   * Waits until a queue may have room again.
   *
   * @param ms the longest wait, in milliseconds. Default: no limit
   * @returns a promise that resolves when there may be room, or after `ms` milliseconds
   */
  writable(ms = Infinity): Promise<void> {
    return this.changed.wait(ms);
  }

  /**
   * Sends one message. It waits while there is no peer or the queues of all peers are full. A single frame is not copied:
   * do not change its bytes afterwards.
   *
   * @param message the frame, or the frames
   * @param options `signal` cancels the wait
   * @returns a promise that resolves when the message is queued for a peer
   * @throws {ClosedError} the socket is closed before the message is queued
   * @throws {LimitError} the message is larger than 1 GiB
   * @throws the reason of `signal`, when it is aborted before the message is queued
   * @throws `failure`, when no endpoint is left that could bring a peer
   */
  async send(message: Outgoing, options?: WaitOptions): Promise<void> {
    const frames = framesOf(message);
    if (byteLength(frames) > MAX_MESSAGE_SIZE) {
      throw new LimitError(
        `Cannot send a message of ${byteLength(frames)} bytes: the limit is ${MAX_MESSAGE_SIZE}`,
      );
    }
    const signal = options?.signal;
    signal?.throwIfAborted();
    if (this.closed) throw this.#closedError();
    if (this.#waiting === 0) {
      this.#single.assign(frames);
      const isQueued = this.sendBatch(this.#single) > 0;
      // An idle socket must not keep the memory of the last message.
      this.#single.bytes = EMPTY;
      if (isQueued) return;
    }
    const batch = Batch.of(frames);
    this.#waiting++;
    const before = this.#turn;
    let next!: () => void;
    this.#turn = new Promise((resolve) => next = resolve);
    let isOurTurn = false;
    try {
      await (signal === undefined ? before : abortable(before, signal));
      isOurTurn = true;
      while (!this.closed && this.sendBatch(batch) === 0) {
        if (this.failure !== undefined) throw this.failure;
        await (signal === undefined ? this.writable() : abortable(this.writable(), signal));
      }
      if (this.closed) throw this.#closedError();
    } finally {
      this.#waiting--;
      if (isOurTurn) next();
      else before.then(next);
    }
  }

  #closedError(): ClosedError {
    return new ClosedError(
      `Cannot send the message: the ${this.type} socket was closed before it was queued`,
    );
  }
}
