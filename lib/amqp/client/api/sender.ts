import { ClosedError, MqcatError } from "../../../errors.ts";
import { AmqpError } from "../../amqp_error.ts";
import { checkEnvelope } from "../envelope.ts";
import type { LinkOptions } from "../link.ts";
import { type Envelope, type Outcome, Publisher } from "../publisher.ts";
import type { BrokerAddress } from "../url.ts";
import { untilAborted } from "./abort.ts";

/** One message, until the broker has confirmed it. */
class Ticket implements Outcome {
  readonly envelope: Envelope;
  readonly body: Uint8Array;
  readonly signal: AbortSignal | undefined;
  readonly done: Promise<void>;

  #returned: AmqpError | undefined;
  #resolve!: () => void;
  #reject!: (error: Error) => void;

  constructor(envelope: Envelope, body: Uint8Array, signal: AbortSignal | undefined) {
    this.envelope = envelope;
    this.body = body;
    this.signal = signal;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  get isReturned(): boolean {
    return this.#returned !== undefined;
  }

  onReturn(replyCode: number, reason: string): void {
    this.#returned = new AmqpError(replyCode, `Cannot deliver the message as ${reason}`, {
      scope: "channel",
    });
  }

  onRefused(error: Error): void {
    this.#reject(error);
  }

  onSettled(acknowledged: boolean): void {
    if (this.#returned !== undefined) this.#reject(this.#returned);
    else if (acknowledged) this.#resolve();
    else {
      this.#reject(
        new MqcatError(
          "ERR_AMQP_CHANNEL",
          "The broker refused the message (basic.nack): a queue may be full, or the broker is out of resources",
        ),
      );
    }
  }

  fail(error: Error): void {
    this.#reject(error);
  }
}

/** Publishes single messages with one promise each, over a `Publisher`; messages keep the order of the calls. */
export class Sender {
  readonly #publisher: Publisher;
  /** Messages that wait for room in the window. */
  #waiting: Ticket[] = [];
  readonly #open = new Set<Ticket>();
  #failure: Error | undefined;

  /** Begins to connect. A failure rejects the messages. */
  constructor(brokers: readonly BrokerAddress[], options: LinkOptions) {
    this.#publisher = new Publisher(brokers, options);
    this.#publisher.onSettled = () => this.#pump();
    this.#publisher.onFailure = (error) => this.#fail(error);
    // Messages wait in the publisher until it is connected.
    this.#publisher.start().catch((error) => this.#fail(error));
  }

  /** The reason why the sender accepts no more messages. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /**
   * Publishes a message and waits for its confirm.
   *
   * @throws {RangeError | LimitError} exchange, routing key or properties are too large
   */
  async send(envelope: Envelope, body: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    checkEnvelope(envelope, this.#publisher.frameMax);
    if (this.#failure !== undefined) throw this.#failure;
    const ticket = new Ticket(envelope, body, signal);
    this.#open.add(ticket);
    this.#waiting.push(ticket);
    this.#pump();
    try {
      await untilAborted(ticket.done, signal);
    } finally {
      this.#open.delete(ticket);
    }
  }

  /** Closes the connection; messages without a confirm reject. */
  async close(): Promise<void> {
    this.#fail(new ClosedError("The AMQP client is closed"));
    await this.#publisher.close();
  }

  #pump(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (!next.signal?.aborted) {
        const { envelope, body } = next;
        const run = { bytes: body, starts: [0], ends: [body.length] };
        try {
          if (this.#publisher.publish(run, 0, 1, envelope, next) === 0) return;
        } catch (error) {
          next.fail(error as Error); // The frames of this connection are smaller than those of the one before.
        }
      }
      this.#waiting.shift();
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#waiting = [];
    for (const ticket of this.#open) ticket.fail(error);
    this.#open.clear();
  }
}
