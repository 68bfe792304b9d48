import type { EncodedMessage } from "../../amqp/frames/frame_encoder.ts";
import { readText } from "../../bytes/text.ts";
import type { FilterMessage } from "../../filter/message.ts";

/** A message in a queue, as a filter sees it. One object serves all messages: `of` sets the next one. */
export class StoredMessage implements FilterMessage {
  #message!: EncodedMessage;
  redelivered = false;

  /** Sets the message, which is valid as long as its buffers. */
  of(message: EncodedMessage, redelivered: boolean): this {
    this.#message = message;
    this.redelivered = redelivered;
    return this;
  }

  topic(): string {
    const { head, routeStart } = this.#message;
    const start = routeStart + 1 + head[routeStart]!;
    return readText(head, start + 1, start + 1 + head[start]!);
  }

  exchange(): string {
    const { head, routeStart } = this.#message;
    return readText(head, routeStart + 1, routeStart + 1 + head[routeStart]!);
  }

  get properties(): Uint8Array {
    return this.#message.head;
  }

  get propertiesStart(): number {
    return this.#message.propertiesStart;
  }

  get propertiesEnd(): number {
    return this.#message.propertiesEnd;
  }

  get body(): Uint8Array {
    return this.#message.body;
  }

  get bodyStart(): number {
    return this.#message.bodyStart;
  }

  get bodyEnd(): number {
    return this.#message.bodyEnd;
  }
}
