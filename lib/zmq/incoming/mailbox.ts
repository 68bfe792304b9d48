import type { Batch } from "../../zmtp/batch.ts";
import { byteLength } from "../../zmtp/bytes.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import { Inbox, type Pausable } from "./inbox.ts";
import type { ResolvedOptions } from "../options.ts";

/** Takes messages in bulk: the batch and its bytes are valid during the call. */
export type Consumer = (batch: Batch, from: ZmtpConnection) => void;

/** A message with the peer that sent it. */
export interface Received {
  readonly frames: Uint8Array[];
  readonly from: ZmtpConnection;
}

/** Where what came goes: in bulk to a consumer, or one by one to whoever asks. */
export class Mailbox {
  readonly #inbox: Inbox<Received>;
  readonly #conflate: boolean;
  #consumer: Consumer | undefined;

  constructor(source: Pausable, options: ResolvedOptions) {
    this.#conflate = options.conflate;
    // A single message can always be replaced, so no peer needs to be held back.
    const limits = this.#conflate ? { hwm: Infinity, hwmBytes: Infinity } : options;
    this.#inbox = new Inbox(source, limits, ({ frames }) => byteLength(frames));
  }

  /** Everything goes to `consumer` from now on. */
  consume(consumer: Consumer): void {
    this.#consumer = consumer;
  }

  deliver(from: ZmtpConnection, batch: Batch): void {
    if (this.#consumer !== undefined) return this.#consumer(batch, from);
    for (let at = 0; at < batch.frames;) {
      const end = batch.messageEnd(at);
      if (this.#conflate) this.#inbox.clear();
      this.#inbox.put({ frames: batch.copy(at, end), from });
      at = end;
    }
  }

  /** The next message; undefined after `end`, or when there is no `hope` of one, once all are taken. */
  take(hope: boolean): Promise<Received | undefined> {
    return this.#inbox.take(hope);
  }

  /** Sends everybody who waits away. */
  dismiss(): void {
    this.#inbox.dismiss();
  }

  end(): void {
    this.#inbox.end();
  }
}
