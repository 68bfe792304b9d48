import { Batch } from "../../zmtp/batch.ts";
import { beginsWith, byteLength, keyOf } from "../../zmtp/bytes.ts";
import { TopicTree } from "./topic_tree.ts";

/** Limits of the cache. At a limit, the topics without a message for the longest time are removed first. */
const MAX_TOPICS = 100_000;
const MAX_BYTES = 64 * 2 ** 20;

interface LastValue {
  readonly topic: Uint8Array;
  message: Uint8Array[];
  /** The number of the message: the order of arrival. */
  order: number;
}

/** Keeps the latest message of each topic for late subscribers. */
export class LastValues {
  readonly #separator: Uint8Array;
  /** By topic, in the order of their messages, the oldest first. */
  readonly #entries = new Map<string, LastValue>();
  /** Points to the oldest entry: a new iterator would walk over all removed entries. */
  readonly #oldest: Iterator<LastValue> = this.#entries.values();
  readonly #tree = new TopicTree<LastValue>();
  #bytes = 0;
  #noted = 0;

  /** @param separator ends the topic in a message of one frame; in other messages the first frame is the topic */
  constructor(separator: Uint8Array) {
    this.#separator = separator;
  }

  /** The number of topics. */
  get size(): number {
    return this.#entries.size;
  }

  /** Stores the messages of a batch. A message of one frame without the separator has no topic and is not stored. */
  note(batch: Batch): void {
    for (let at = 0; at < batch.frames;) {
      const end = batch.messageEnd(at);
      const topic = this.#topicOf(batch, at);
      if (topic !== undefined) this.#put(topic, batch.copy(at, end));
      at = end;
    }
  }

  /** The latest messages of all topics that match a subscription to `prefix`, in the order of their arrival. */
  matching(prefix: Uint8Array): Batch {
    const found: LastValue[] = [];
    const take = (entry: LastValue) => {
      if (beginsWith(entry.message[0]!, prefix)) found.push(entry);
    };
    // In a message of one frame, a subscription may be longer than the topic.
    this.#tree.match(prefix, 0, prefix.length, (entry, rest) => rest > 0 && take(entry));
    this.#tree.under(prefix, take);
    found.sort((a, b) => a.order - b.order);
    return Batch.ofMessages(found.map(({ message }) => message));
  }

  #topicOf({ bytes, starts, ends, flags }: Batch, at: number): Uint8Array | undefined {
    const start = starts[at]!;
    const end = ends[at]!;
    if (flags[at] !== 0) return bytes.subarray(start, end);
    const separator = this.#separator;
    for (let i = start; i + separator.length <= end; i++) {
      let same = 0;
      while (same < separator.length && bytes[i + same] === separator[same]) same++;
      if (same === separator.length) return bytes.subarray(start, i);
    }
    return undefined;
  }

  #put(topic: Uint8Array, message: Uint8Array[]): void {
    const key = keyOf(topic);
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = { topic: topic.slice(), message, order: 0 };
      this.#tree.add(entry.topic, entry);
    } else {
      this.#bytes -= byteLength(entry.message);
      this.#entries.delete(key);
    }
    entry.message = message;
    entry.order = ++this.#noted;
    this.#entries.set(key, entry);
    this.#bytes += byteLength(message);
    while (this.#entries.size > MAX_TOPICS || this.#bytes > MAX_BYTES) this.#forget();
  }

  #forget(): void {
    const entry = this.#oldest.next().value as LastValue;
    this.#entries.delete(keyOf(entry.topic));
    this.#tree.remove(entry.topic, entry);
    this.#bytes -= byteLength(entry.message);
  }
}
