/** A peer of a ZeroMQ socket without a network: its queue, and what it was told. */
import { Batch } from "../../../lib/zmtp/batch.ts";
import { text, utf8 } from "../../../lib/zmtp/bytes.ts";
import type { ZmtpConnection } from "../../../lib/zmtp/connection.ts";
import { Outbox, type OutboxLimits } from "../../../lib/zmtp/outbox.ts";

/** A batch with a message for each word, whose frames are separated by a slash. */
export function batchOf(words: string): Batch {
  return Batch.ofMessages(words.split(" ").map((message) => message.split("/").map(utf8)));
}

/** A connection whose writes stay in progress until `drain`. */
export class FakePeer {
  readonly remote: string;
  readonly outbox: Outbox;
  progress = 0;
  /** The subscriptions and cancellations that it was sent, as `+topic` and `-topic`. */
  readonly subscriptions: string[] = [];
  /** The error that it was disconnected with. */
  closed: Error | undefined;
  readonly peer: { readonly identity: Uint8Array; readonly version: string };
  refusal: Error | undefined;
  readonly #writes: string[] = [];

  constructor(
    remote: string,
    limits: OutboxLimits = { messages: 10, bytes: Infinity },
    identity = "",
    version = "3.1",
  ) {
    this.remote = remote;
    this.peer = { identity: utf8(identity), version };
    this.outbox = new Outbox(limits, (bytes) => void this.#writes.push(messagesIn(bytes)));
  }

  /** Whether it is read from, each time that this changed. */
  readonly reading: boolean[] = [];

  pause(): void {
    this.reading.push(false);
  }

  resume(): void {
    this.reading.push(true);
  }

  refuse(error: Error): void {
    this.refusal = error;
  }

  close(error?: Error): void {
    this.closed = error;
  }

  sendSubscriptions(topics: Iterable<Uint8Array>, subscribe: boolean): void {
    for (const topic of topics) this.subscriptions.push((subscribe ? "+" : "-") + text(topic));
  }

  reclaim(): Batch {
    return this.outbox.reclaim(0);
  }

  get connection(): ZmtpConnection {
    return this as unknown as ZmtpConnection;
  }

  /** The messages that are being written. */
  get writing(): string {
    return this.#writes.join(" ");
  }

  /** The system takes everything. @returns the messages */
  drain(): string {
    while (!this.outbox.empty) this.outbox.onDrain();
    return this.#writes.splice(0).join(" ");
  }
}

/** The messages in encoded frames of at most 255 bytes. */
function messagesIn(bytes: Uint8Array): string {
  let words = "";
  for (let at = 0; at < bytes.length;) {
    const [flags, length] = bytes.subarray(at, at + 2);
    words += text(bytes.subarray(at + 2, at += 2 + length!)) + (flags === 1 ? "/" : " ");
  }
  return words.trim();
}
