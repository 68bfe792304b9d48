import { encodeProperties } from "../../amqp/properties.ts";
import { fieldsOf } from "../../amqp/client/api/received_message.ts";
import { ClosedError } from "../../errors.ts";
import { untilAborted } from "../../link/abort.ts";
import type { Delivery } from "../contract.ts";
import type { Requester } from "../requester.ts";
import { Message } from "./incoming.ts";
import type { OpenRequester } from "./system.ts";
import type { Asking, PatternMessage, PatternMessageOptions } from "./types.ts";

/** A request until it has its reply. */
interface Question {
  readonly body: Uint8Array;
  readonly properties: Uint8Array;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (reply: PatternMessage) => void;
  readonly reject: (error: Error) => void;
}

/** Sends requests with one promise each. */
export class Questions implements Asking {
  readonly #requester: Requester;
  readonly #route: { readonly exchange: string; readonly routingKey: string };
  readonly #timeout: number | undefined;
  /** Requests that wait for room, and those without a reply, in their order. */
  #waiting: Question[] = [];
  #asked: Question[] = [];
  #failure: Error | undefined;

  /** @param timeout how long each request waits for its reply, in milliseconds */
  constructor(open: OpenRequester, timeout: number | undefined) {
    this.#timeout = timeout;
    this.#route = open.route;
    this.#requester = open.open({
      // After a failure there are none any more.
      onReply: (reply) => this.#asked.shift()?.resolve(messageOf(reply)),
      onExpired: () => this.#asked.shift()?.reject(this.#late()),
      onBatchEnd: () => this.#pump(),
    });
  }

  /** Connects; closes the requester when that fails. */
  async start(): Promise<void> {
    try {
      await this.#requester.start();
    } catch (error) {
      this.close().catch(() => {});
      throw error;
    }
    this.#watch();
  }

  async ask(
    body: string | Uint8Array,
    { properties = {}, signal }: PatternMessageOptions = {},
  ): Promise<PatternMessage> {
    signal?.throwIfAborted();
    if (this.#failure !== undefined) throw this.#failure;
    const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
    const encoded = encodeProperties(properties);
    const reply = new Promise<PatternMessage>((resolve, reject) =>
      this.#waiting.push({ body: bytes, properties: encoded, signal, resolve, reject })
    );
    this.#pump();
    return await untilAborted(reply, signal);
  }

  async close(): Promise<void> {
    this.#fail(new ClosedError("The requester is closed"));
    await this.#requester.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #pump(): void {
    const requester = this.#requester;
    while (this.#waiting.length > 0 && requester.hasRoom) {
      const question = this.#waiting.shift()!;
      const { body, properties, signal } = question;
      if (signal?.aborted) continue;
      const bodies = { bytes: body, starts: [0], ends: [body.length] };
      try {
        requester.request(bodies, 0, { ...this.#route, properties });
        this.#asked.push(question);
      } catch (error) {
        question.reject(error as Error); // A property or the message is too large.
      }
    }
    requester.flush();
  }

  async #watch(): Promise<void> {
    while (this.#failure === undefined) {
      if (this.#requester.failure !== undefined) return this.#fail(this.#requester.failure);
      await this.#requester.changed.wait();
    }
  }

  #late(): Error {
    return new DOMException(`No reply arrived within ${this.#timeout! / 1000} s`, "TimeoutError");
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of [...this.#asked.splice(0), ...this.#waiting.splice(0)]) reject(error);
  }
}

/** A reply as a message without acknowledgement. */
function messageOf(reply: Delivery): PatternMessage {
  return new Message(fieldsOf(reply), { settle() {} }, 0);
}
