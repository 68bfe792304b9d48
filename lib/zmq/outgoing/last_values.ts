import { Batch } from "../../zmtp/batch.ts";
import { beginsWith, byteLength, keyOf } from "../../zmtp/bytes.ts";
import { TopicTree } from "./topic_tree.ts";

/** What a cache remembers at most; the topics that had no message for the longest time are forgotten first. */
const MAX_TOPICS = 100_000;
const MAX_BYTES = 64 * 2 ** 20;

interface Entry {
  readonly topic: Uint8Array;
  message: Uint8Array[];
  /** Grows with each message: the order in which they came. */
  order: number;
}

/** The newest message of each topic, for subscribers that come late. */
export class LastValues {
  readonly #separator: Uint8Array;
  /** By topic, the one first whose message is the oldest. */
  readonly #entries = new Map<string, Entry>();
  /** Stands in front of the oldest entry: a new iterator would walk over all that were removed there. */
  readonly #oldest: Iterator<Entry> = this.#entries.values();
  readonly #tree = new TopicTree<Entry>();
  #bytes = 0;
  #noted = 0;

  /** @param separator where the topic ends in a message of one frame; with several it is the first one */
  constructor(separator: Uint8Array) {
    this.#separator = separator;
  }

  /** How many topics there are. */
  get size(): number {
    return this.#entries.size;
  }

  /** Remembers the messages of a batch. One of a single frame without a separator in it has no topic. */
  note(batch: Batch): void {
    for (let at = 0; at < batch.frames;) {
      const end = batch.messageEnd(at);
      const topic = this.#topicOf(batch, at);
      if (topic !== undefined) this.#put(topic, batch.copy(at, end));
      at = end;
    }
  }

  /** The newest messages of all topics that match a subscription to `prefix`, in the order in which they came. */
  matching(prefix: Uint8Array): Batch {
    const found: Entry[] = [];
    const take = (entry: Entry) => {
      if (beginsWith(entry.message[0]!, prefix)) found.push(entry);
    };
    // A subscription may go on behind the topic, into the only frame.
    this.#tree.match(prefix, 0, prefix.length, (entry, behind) => behind > 0 && take(entry));
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
    const entry = this.#oldest.next().value as Entry;
    this.#entries.delete(keyOf(entry.topic));
    this.#tree.remove(entry.topic, entry);
    this.#bytes -= byteLength(entry.message);
  }
}
