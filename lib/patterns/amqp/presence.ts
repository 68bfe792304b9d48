import { AmqpError } from "../../amqp/amqp_error.ts";
import type { Channel } from "../../amqp/client/channel.ts";
import type { AmqpConnection } from "../../amqp/client/connection.ts";

/** A question about an address, which waits for its turn. */
interface Question {
  readonly answer: Promise<boolean>;
  readonly resolve: (isPresent: boolean) => void;
}

/**
 * Finds out whether requesters with direct reply-to are still connected: their address then exists as a queue. A return
 * does not show it, because RabbitMQ returns mandatory direct replies in any case.
 */
export class Presence {
  #connection: AmqpConnection | undefined;
  #channel: Channel | undefined;
  /** By address, in order. One answer is for all who ask before the broker is asked. */
  readonly #questions = new Map<string, Question>();
  #isAsking = false;

  /** Sets the connection for the next questions. */
  use(connection: AmqpConnection): void {
    this.#connection = connection;
  }

  /** Whether a requester still receives replies at an address; true if it cannot be found out now. */
  ask(address: string): Promise<boolean> {
    const earlier = this.#questions.get(address);
    if (earlier !== undefined) return earlier.answer;
    let resolve!: (isPresent: boolean) => void;
    const answer = new Promise<boolean>((done) => resolve = done);
    this.#questions.set(address, { answer, resolve });
    this.#askAll();
    return answer;
  }

  async #askAll(): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    for (const [address, { resolve }] of this.#questions) {
      this.#questions.delete(address);
      resolve(await this.#exists(address));
    }
    this.#isAsking = false;
  }

  async #exists(queue: string): Promise<boolean> {
    try {
      // A negative answer closes the channel.
      if (this.#channel === undefined || this.#channel.over) this.#channel = await this.#connection!.open();
      await this.#channel.call("queue.declare", { queue, passive: true }, "queue.declare-ok");
      return true;
    } catch (error) {
      return !(error instanceof AmqpError && error.replyCode === 404);
    }
  }
}
