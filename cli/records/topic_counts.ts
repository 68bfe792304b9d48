import { visible } from "../app/text.ts";

/** The topics that are counted one by one; the others are counted together. */
const MAX_TOPICS = 10_000;
const OTHERS = "(other topics)";

/** The messages of one topic. */
export interface TopicCount {
  readonly topic: string;
  messages: number;
  bytes: number;
  /** Per second, over the last interval. */
  rate: number;
  byteRate: number;
}

interface Counted extends TopicCount {
  messagesBefore: number;
  bytesBefore: number;
}

/** Counts messages by topic, and their rates between two calls of `tick`. The number of topics is bounded. */
export class TopicCounts {
  readonly #topics = new Map<string, Counted>();
  readonly #began = performance.now();
  #tickedAt = performance.now();

  /** @param bytes the size of the body */
  count(topic: string, bytes: number): void {
    const count = this.#topics.get(topic) ?? this.#add(topic);
    count.messages++;
    count.bytes += bytes;
  }

  /** Ends an interval: the rates are those since the last call. */
  tick(): void {
    const now = performance.now();
    this.#rate((now - this.#tickedAt) / 1000);
    this.#tickedAt = now;
  }

  /** Makes the rates those of the whole time. */
  finish(): void {
    for (const count of this.#topics.values()) count.messagesBefore = count.bytesBefore = 0;
    this.#rate((performance.now() - this.#began) / 1000);
  }

  /** The topics with the highest rates first, then those with the most messages. */
  rows(): readonly TopicCount[] {
    return [...this.#topics.values()].sort((a, b) =>
      b.rate - a.rate || b.messages - a.messages || (a.topic < b.topic ? -1 : 1)
    );
  }

  /** The sum over all topics. */
  total(): TopicCount {
    const total = { topic: "", messages: 0, bytes: 0, rate: 0, byteRate: 0 };
    for (const { messages, bytes, rate, byteRate } of this.#topics.values()) {
      total.messages += messages;
      total.bytes += bytes;
      total.rate += rate;
      total.byteRate += byteRate;
    }
    return total;
  }

  #add(topic: string): Counted {
    const name = this.#topics.size < MAX_TOPICS ? topic : OTHERS;
    let count = this.#topics.get(name);
    if (count === undefined) {
      count = { topic: name, messages: 0, bytes: 0, rate: 0, byteRate: 0, messagesBefore: 0, bytesBefore: 0 };
      this.#topics.set(name, count);
    }
    return count;
  }

  #rate(seconds: number): void {
    for (const count of this.#topics.values()) {
      count.rate = (count.messages - count.messagesBefore) / seconds;
      count.byteRate = (count.bytes - count.bytesBefore) / seconds;
      count.messagesBefore = count.messages;
      count.bytesBefore = count.bytes;
    }
  }
}

/** A row as a member of a JSON record: rates are per second. */
export function countRecord({ topic, messages, bytes, rate, byteRate }: TopicCount): Record<string, unknown> {
  return { topic, messages, bytes, rate: round(rate), byte_rate: round(byteRate) };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** The name of a topic for people. */
export function topicText(topic: string): string {
  return topic === "" ? "(no topic)" : visible(topic);
}
