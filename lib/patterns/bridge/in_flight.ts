import type { Envelope } from "../contract.ts";

/** After so many messages the arrays are shortened, when at least half of them are free. */
const COMPACT = 1024;

/** Published messages whose outcome is not known, in order, without an object for each message. */
export class InFlight {
  #tags: number[] = [];
  #generations: number[] = [];
  #envelopes: Envelope[] = [];
  #head = 0;

  /** The number of messages. */
  get count(): number {
    return this.#tags.length - this.#head;
  }

  /** The delivery tag of the first message. */
  get tag(): number {
    return this.#tags[this.#head]!;
  }

  /** The connection on which the first message arrived. */
  get generation(): number {
    return this.#generations[this.#head]!;
  }

  get envelope(): Envelope {
    return this.#envelopes[this.#head]!;
  }

  push(tag: number, generation: number, envelope: Envelope): void {
    this.#tags.push(tag);
    this.#generations.push(generation);
    this.#envelopes.push(envelope);
  }

  /** Removes the first message. */
  shift(): void {
    if (++this.#head < COMPACT || this.#head * 2 < this.#tags.length) return;
    this.#tags = this.#tags.slice(this.#head);
    this.#generations = this.#generations.slice(this.#head);
    this.#envelopes = this.#envelopes.slice(this.#head);
    this.#head = 0;
  }
}
