import { type BasicProperties, encodeProperties } from "../../amqp/properties.ts";
import { ClosedError, RefusedError } from "../../errors.ts";
import { Sender, type SendErrors } from "../../link/sender.ts";
import type { OpenOutlet } from "./system.ts";
import type { PatternMessageOptions, Publishing, Pushing } from "./types.ts";

const PERSISTENT: BasicProperties = { deliveryMode: 2 };

/** Sends messages one by one, to the topic of each message or to a fixed place. */
class Outgoing implements AsyncDisposable {
  readonly #open: OpenOutlet;
  readonly #sender: Sender;

  constructor(open: OpenOutlet) {
    const { outlet } = open;
    const errors: SendErrors = {
      returned: (_replyCode, reason) => new RefusedError(`Nothing receives the message: ${reason}`),
      refused: () => new RefusedError(`The message was refused${because(outlet.refusalReason)}`),
      closed: () => new ClosedError("The sender is closed"),
    };
    this.#open = open;
    this.#sender = new Sender(outlet, errors);
  }

  /** Resolves when the first connection is there; closes the sender when it fails. */
  async start(): Promise<void> {
    try {
      await this.#sender.started;
    } catch (error) {
      this.close().catch(() => {});
      throw error;
    }
  }

  async put(
    topic: string | undefined,
    body: string | Uint8Array,
    { properties = PERSISTENT, signal }: PatternMessageOptions = {},
  ): Promise<void> {
    signal?.throwIfAborted();
    const envelope = { ...this.#open.route(topic), properties: encodeProperties(properties) };
    const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
    await this.#sender.send(envelope, bytes, signal);
  }

  close(): Promise<void> {
    return this.#sender.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Sends messages with a topic. */
export class Publication extends Outgoing implements Publishing {
  send(topic: string, body: string | Uint8Array, options?: PatternMessageOptions): Promise<void> {
    return this.put(topic, body, options);
  }
}

/** Sends messages to a queue. */
export class Pushed extends Outgoing implements Pushing {
  send(body: string | Uint8Array, options?: PatternMessageOptions): Promise<void> {
    return this.put(undefined, body, options);
  }
}

function because(reason: string): string {
  return reason === "" ? "" : `: ${reason}`;
}
