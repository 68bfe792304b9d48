import type { Batch } from "../../lib/zmtp/batch.ts";
import type { Source } from "./input.ts";

/** Takes single messages from a source of batches. It reads ahead, so that the end is known before the next request. */
export class Turns<Message> {
  /** Resolves when the last message is taken; rejects when the source fails after it. */
  readonly exhausted: Promise<void>;

  readonly #source: Source;
  readonly #messagesOf: (batch: Batch) => Message[];
  #messages: Promise<Message[] | undefined>;
  #exhaust!: () => void;
  #fail!: (error: unknown) => void;

  /** @param messagesOf copies the messages of a batch */
  constructor(source: Source, messagesOf: (batch: Batch) => Message[]) {
    this.#source = source;
    this.#messagesOf = messagesOf;
    this.exhausted = new Promise((resolve, reject) => {
      this.#exhaust = resolve;
      this.#fail = reject;
    });
    this.exhausted.catch(() => {}); // The source may fail before the first request is waited for.
    this.#messages = this.#advance();
  }

  /** The next message; undefined at the end. */
  async next(): Promise<Message | undefined> {
    const messages = await this.#messages;
    const message = messages?.shift();
    if (messages?.length === 0) this.#messages = this.#advance();
    return message;
  }

  async #advance(): Promise<Message[] | undefined> {
    try {
      for (let batch = await this.#source.next(); batch !== undefined; batch = await this.#source.next()) {
        const messages = this.#messagesOf(batch);
        if (messages.length > 0) return messages;
      }
      this.#exhaust();
    } catch (error) {
      this.#fail(error);
    }
    return undefined;
  }
}
