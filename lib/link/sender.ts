import type { Signal } from "../transport/waiting.ts";
import { untilAborted } from "./abort.ts";
import type { Bodies, Envelope } from "./message.ts";
import type { Outcome } from "./run.ts";

/** What a sender uses of a publisher. */
export interface SendingOutlet {
  start(): Promise<void>;
  publish(bodies: Bodies, from: number, to: number, envelope: Envelope, outcome: Outcome): number;
  onSettled: () => void;
  readonly changed: Signal;
  readonly failure: Error | undefined;
  close(limit?: number): Promise<void>;
}

/** The errors of messages that were not taken. */
export interface SendErrors {
  /** Nothing receives the message. */
  returned(replyCode: number, reason: string): Error;
  /** The server refused the message. */
  refused(): Error;
  /** The sender was closed before the message was confirmed. */
  closed(): Error;
}

/** One message, until the server has confirmed it. */
class Ticket implements Outcome {
  readonly envelope: Envelope;
  readonly body: Uint8Array;
  readonly signal: AbortSignal | undefined;
  readonly done: Promise<void>;

  readonly #errors: SendErrors;
  #returned: Error | undefined;
  #resolve!: () => void;
  #reject!: (error: Error) => void;

  constructor(envelope: Envelope, body: Uint8Array, signal: AbortSignal | undefined, errors: SendErrors) {
    this.envelope = envelope;
    this.body = body;
    this.signal = signal;
    this.#errors = errors;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  onReturn(replyCode: number, reason: string): void {
    this.#returned = this.#errors.returned(replyCode, reason);
  }

  onRefused(error: Error): void {
    this.#reject(error);
  }

  onSettled(acknowledged: boolean): void {
    if (this.#returned !== undefined) this.#reject(this.#returned);
    else if (acknowledged) this.#resolve();
    else this.#reject(this.#errors.refused());
  }

  fail(error: Error): void {
    this.#reject(error);
  }
}

/** Sends single messages with one promise each, over a publisher; messages keep the order of the calls. */
export class Sender {
  /** Resolves when the publisher is connected for the first time. */
  readonly started: Promise<void>;

  readonly #outlet: SendingOutlet;
  readonly #errors: SendErrors;
  /** Messages that wait for room in the window. */
  #waiting: Ticket[] = [];
  readonly #open = new Set<Ticket>();
  #failure: Error | undefined;

  /** Begins to connect. A failure rejects the messages. */
  constructor(outlet: SendingOutlet, errors: SendErrors) {
    this.#outlet = outlet;
    this.#errors = errors;
    outlet.onSettled = () => this.#pump();
    // Messages wait in the publisher until it is connected.
    this.started = outlet.start();
    this.started.catch((error) => this.#fail(error));
    this.#watch();
  }

  /** The reason why the sender accepts no more messages. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Sends a message and waits for its confirm. */
  async send(envelope: Envelope, body: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const ticket = new Ticket(envelope, body, signal, this.#errors);
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
    this.#fail(this.#errors.closed());
    await this.#outlet.close();
  }

  async #watch(): Promise<void> {
    while (this.#failure === undefined) {
      if (this.#outlet.failure !== undefined) return this.#fail(this.#outlet.failure);
      await this.#outlet.changed.wait();
      this.#pump();
    }
  }

  #pump(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (!next.signal?.aborted) {
        const { envelope, body } = next;
        const run = { bytes: body, starts: [0], ends: [body.length] };
        try {
          if (this.#outlet.publish(run, 0, 1, envelope, next) === 0) return;
        } catch (error) {
          // The message is too large; the limits of this connection may be lower than those of the one before.
          next.fail(error as Error);
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
