import { fieldsOf } from "../../amqp/client/api/received_message.ts";
import type { Replier, Request } from "../replier.ts";
import { Message } from "./incoming.ts";
import type { RequestHandler, Service } from "./types.ts";

/** How long `close` waits for the last replies, in milliseconds. */
const LINGER_MS = 5000;

/** Passes requests to a function, some at a time, and sends what it returns. */
export class HandledService implements Service {
  readonly done: Promise<void>;

  readonly #replier: Replier;
  readonly #handler: RequestHandler;
  #closing: Promise<void> | undefined;

  /** @param replier is connected */
  constructor(replier: Replier, handler: RequestHandler, jobs: number) {
    this.#replier = replier;
    this.#handler = handler;
    this.done = this.#run(jobs);
    this.done.catch(() => {}); // Whoever waits for it gets the error.
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #run(jobs: number): Promise<void> {
    try {
      await Promise.all(Array.from({ length: jobs }, () => this.#work()));
      if (this.#replier.failure !== undefined) throw this.#replier.failure;
    } finally {
      await this.close();
    }
  }

  async #work(): Promise<void> {
    for (let request = await this.#replier.receive(); request !== undefined;) {
      await this.#handle(request);
      request = await this.#replier.receive();
    }
  }

  async #handle(request: Request): Promise<void> {
    const message = new Message(fieldsOf(request.delivery), { settle() {} }, 0);
    let reply: string | Uint8Array | undefined;
    try {
      reply = await this.#handler(message);
    } catch (error) {
      this.#replier.endReceiving();
      throw error;
    }
    if (!this.#replier.isCurrent(request)) return;
    if (reply === undefined || request.replyTo === undefined) this.#replier.acknowledge(request);
    else this.#replier.reply(request, typeof reply === "string" ? new TextEncoder().encode(reply) : reply);
  }

  async #close(): Promise<void> {
    this.#replier.endReceiving();
    await this.#replier.settled(LINGER_MS);
    await this.#replier.close();
  }
}
