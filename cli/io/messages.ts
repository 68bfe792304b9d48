import { Batch } from "../../lib/zmtp/batch.ts";
import type { Source } from "./input.ts";

/** A fixed list of messages, given once or over and over. */
export class Messages implements Source {
  ended: boolean;
  readonly cut = false;
  onEnd: () => void = () => {};

  readonly #messages: readonly (readonly Uint8Array[])[];
  readonly #repeat: boolean;
  #next = 0;
  #cancelled = false;

  constructor(messages: readonly (readonly Uint8Array[])[], repeat: boolean) {
    this.#messages = messages;
    this.#repeat = repeat;
    this.ended = !repeat;
  }

  next(): Promise<Batch | undefined> {
    if (this.#next === this.#messages.length && this.#repeat) this.#next = 0;
    const message = this.#cancelled && this.#repeat ? undefined : this.#messages[this.#next++];
    return Promise.resolve(message === undefined ? undefined : Batch.of(message));
  }

  cancel(): void {
    this.#cancelled = this.ended = true;
  }
}
