import { ClosedError, LimitError } from "../errors.ts";
import { Batch } from "../zmtp/batch.ts";
import { byteLength, utf8 } from "../zmtp/bytes.ts";
import { MAX_MESSAGE_SIZE } from "./options.ts";
import { Socket } from "./socket.ts";

/** One message for `send`: a frame or several, as bytes or as text in UTF-8. */
export type Outgoing = Uint8Array | string | readonly (Uint8Array | string)[];

/** The frames of an outgoing message. */
export function framesOf(message: Outgoing): Uint8Array[] {
  const parts = typeof message === "string" || message instanceof Uint8Array ? [message] : message;
  if (parts.length === 0) {
    throw new TypeError("Cannot send a message without frames: an empty message is one empty frame");
  }
  return parts.map((part) => typeof part === "string" ? utf8(part) : part);
}

/** A socket that sends. */
export abstract class Sender extends Socket {
  /** The last of the calls that wait their turn. */
  #turn: Promise<void> = Promise.resolve();
  #waiting = 0;

  /**
   * Queues as many whole messages as there is room for, beginning at frame `from`, and starts writing.
   *
   * @returns the first frame that was not taken, or `batch.frames`. When it is less, wait for `writable` and go on.
   */
  abstract sendBatch(batch: Batch, from?: number): number;

  /** Resolves when there may be room again, or after `ms` milliseconds. */
  writable(ms = Infinity): Promise<void> {
    return this.changed.wait(ms);
  }

  /**
   * Sends one message: resolves when it is queued for a peer, which waits while there is none or its queue is full.
   * The bytes of a single frame are referred to, so leave them as they are.
   *
   * @throws {ClosedError} the socket was closed before the message was taken
   * @throws {LimitError} it is over 1 GiB
   * @throws `failure`, when no endpoint is left that could bring a peer
   */
  async send(message: Outgoing): Promise<void> {
    const frames = framesOf(message);
    if (byteLength(frames) > MAX_MESSAGE_SIZE) {
      throw new LimitError(
        `Cannot send a message of ${byteLength(frames)} bytes: the limit is ${MAX_MESSAGE_SIZE}`,
      );
    }
    const batch = Batch.of(frames);
    if (this.closed) throw this.#closedError();
    if (this.#waiting === 0 && this.sendBatch(batch) > 0) return;
    this.#waiting++;
    const before = this.#turn;
    let next!: () => void;
    this.#turn = new Promise((resolve) => next = resolve);
    try {
      await before;
      while (!this.closed && this.sendBatch(batch) === 0) {
        if (this.failure !== undefined) throw this.failure;
        await this.writable();
      }
      if (this.closed) throw this.#closedError();
    } finally {
      this.#waiting--;
      next();
    }
  }

  #closedError(): ClosedError {
    return new ClosedError(`The ${this.type} socket was closed before it could take the message`);
  }
}
