import { Batch } from "../zmtp/batch.ts";
import { beginsWith, byteLength, keyOf } from "../zmtp/bytes.ts";

/** What a cache remembers at most; the topics that had no message for the longest time are forgotten first. */
const MAX_TOPICS = 100_000;
const MAX_BYTES = 64 * 2 ** 20;

/** The newest message of each topic, for subscribers that come late. */
export class LastValues {
  readonly #separator: Uint8Array;
  readonly #messages = new Map<string, Uint8Array[]>();
  #bytes = 0;

  /** @param separator where the topic ends in a message of one frame; with several it is the first one */
  constructor(separator: Uint8Array) {
    this.#separator = separator;
  }

  /** How many topics there are. */
  get size(): number {
    return this.#messages.size;
  }

  /** Remembers the messages of a batch. One of a single frame without a separator in it has no topic. */
  note(batch: Batch): void {
    for (let at = 0; at < batch.frames;) {
      const end = batch.messageEnd(at);
      const topic = this.#topicOf(batch, at);
      if (topic !== undefined) this.#put(keyOf(topic), batch.copy(at, end));
      at = end;
    }
  }

  /** The newest messages of all topics that match a subscription to `prefix`, in the order in which they came. */
  matching(prefix: Uint8Array): Batch {
    const found: Uint8Array[][] = [];
    for (const message of this.#messages.values()) if (beginsWith(message[0]!, prefix)) found.push(message);
    return Batch.ofMessages(found);
  }

  #topicOf(batch: Batch, at: number): Uint8Array | undefined {
    const frame = batch.frame(at);
    if (batch.flags[at] !== 0) return frame;
    for (let i = 0; i + this.#separator.length <= frame.length; i++) {
      if (beginsWith(frame.subarray(i), this.#separator)) return frame.subarray(0, i);
    }
    return undefined;
  }

  #put(key: string, message: Uint8Array[]): void {
    this.#forget(key);
    this.#messages.set(key, message);
    this.#bytes += byteLength(message);
    while (this.#messages.size > MAX_TOPICS || this.#bytes > MAX_BYTES) {
      this.#forget(this.#messages.keys().next().value!);
    }
  }

  #forget(key: string): void {
    const message = this.#messages.get(key);
    if (message === undefined) return;
    this.#messages.delete(key);
    this.#bytes -= byteLength(message);
  }
}
