import type { Batch } from "../../zmtp/batch.ts";
import { byteLength } from "../../zmtp/bytes.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import type { ResolvedOptions } from "../options.ts";
import type { Peer } from "../peer.ts";
import { Inbox, type Pausable } from "./inbox.ts";

/** A function that takes received messages in batches. The batch and its bytes are valid only during the call. */
export type BatchConsumer = (batch: Batch, from: Peer) => void;

/** A message and the peer that sent it. */
export interface Received {
  readonly frames: Uint8Array[];
  readonly from: ZmtpConnection;
}

/** Passes received messages to a consumer in batches, or queues them for `receive`. */
export class Mailbox {
  readonly #inbox: Inbox<Received>;
  readonly #conflate: boolean;
  #consumer: BatchConsumer | undefined;

  constructor(source: Pausable, options: ResolvedOptions) {
    this.#conflate = options.conflate;
    // A single message can always be replaced, so there is no need to pause the peers.
    const limits = this.#conflate ? { hwm: Infinity, hwmBytes: Infinity } : options;
    this.#inbox = new Inbox(source, limits, ({ frames }) => byteLength(frames));
  }

  /** Passes all messages to `consumer` from now on. */
  consume(consumer: BatchConsumer): void {
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

  /** Takes the next message; see `Inbox.take`. */
  take(hope: boolean, signal?: AbortSignal): Promise<Received | undefined> {
    return this.#inbox.take(hope, signal);
  }

  /** Resolves all waiting calls of `take` to undefined. */
  dismiss(): void {
    this.#inbox.dismiss();
  }

  end(): void {
    this.#inbox.end();
  }
}
