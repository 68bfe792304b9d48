import { copyBytes } from "../../bytes/frame_buffer.ts";
import { textLength, writeText } from "../../bytes/text.ts";
import { Signal } from "../../transport/waiting.ts";
import type { Sender } from "../../zmq/sender.ts";
import { Batch, MORE } from "../../zmtp/batch.ts";
import type { Bodies, Envelope, Outcome, Outlet } from "../contract.ts";

/** Options of a ZeroMQ outlet. */
export interface ZmqOutletOptions {
  /** The maximum number of messages that the operating system has not accepted. Default: 256 */
  readonly window?: number;
  /** Whether messages are counted as accepted when they are queued, because the socket drops messages for slow peers. */
  readonly drops?: boolean;
}

/** A PUSH socket, or a PUB socket with its count of subscribers. */
export type OutletSocket = Sender & { readonly subscribers?: number };

/** The first size of the buffer for topics and bodies, in bytes. */
const FIRST_ROOM = 64 * 1024;
/** A buffer larger than this is not used again, in bytes. */
const KEEP = 4 * 1024 * 1024;

/**
 * An outlet over a PUSH or PUB socket. A message is accepted when the operating system has taken it for the peer, or, at
 * PUB, for all subscribers of its topic. Without a peer, or at PUB without any subscriber, messages wait. A topic
 * (`routingKey`) becomes the first frame, before the body; a message without a topic has one frame. ZeroMQ has no
 * properties and headers: they are not sent. The socket is bound and connected by its owner.
 */
export class ZmqOutlet implements Outlet {
  acknowledged = 0;
  readonly refused = 0;
  readonly refusalReason = "";
  readonly returned = 0;
  readonly returnReason = "";
  pending = 0;
  onSettled: () => void = () => {};
  readonly changed: Signal = new Signal();

  readonly #socket: OutletSocket;
  readonly #window: number;
  readonly #drops: boolean;
  readonly #batch = new Batch();
  #buffer: Uint8Array = NOTHING;
  #outcomes: Outcome[] = [];

  constructor(socket: OutletSocket, options: ZmqOutletOptions = {}) {
    this.#socket = socket;
    this.#window = options.window ?? 256;
    this.#drops = options.drops ?? false;
    this.#watch();
  }

  get takenInOrder(): number {
    return this.acknowledged;
  }

  get failure(): Error | undefined {
    return this.#socket.failure;
  }

  /** Does nothing: the owner of the socket opens it. */
  async start(): Promise<void> {}

  publish(
    bodies: Bodies,
    from: number,
    to: number,
    envelopes: Envelope | readonly Envelope[],
    outcome?: Outcome,
  ): number {
    if (this.#socket.closed || this.#socket.subscribers === 0) return from;
    const last = Math.min(to, from + this.#window - this.pending);
    if (last <= from) return from;
    const batch = this.#fill(bodies, from, last, envelopes);
    const count = batch.countMessages(0, this.#socket.sendBatch(batch));
    batch.bytes = NOTHING;
    if (count === 0) return from;
    this.pending += count;
    if (outcome !== undefined) this.#outcomes.push(outcome);
    // The operating system may have accepted all at once, or nothing will be reported for dropped messages.
    if (this.#drops || this.#socket.unsent === 0) queueMicrotask(() => this.#look());
    return from + count;
  }

  async close(limit = 0): Promise<void> {
    await this.#socket.close(limit);
  }

  async #watch(): Promise<void> {
    while (!this.#socket.closed) {
      await this.#socket.change();
      this.#look();
    }
  }

  /**
   * Counts the messages when the operating system has accepted all of them. With several peers only then is known which of
   * them it has.
   */
  #look(): void {
    if (this.pending > 0 && (this.#drops || this.#socket.unsent === 0)) {
      this.acknowledged += this.pending;
      this.pending = 0;
      for (const outcome of this.#outcomes.splice(0)) outcome.onSettled(true);
    }
    // There may be room: a peer has connected, or has read.
    this.onSettled();
    this.changed.fire();
  }

  #fill(bodies: Bodies, from: number, to: number, envelopes: Envelope | readonly Envelope[]): Batch {
    const { bytes, starts, ends } = bodies;
    const batch = this.#batch;
    batch.clear();
    if (!isList(envelopes) && envelopes.routingKey === "") {
      batch.bytes = bytes;
      for (let i = from; i < to; i++) batch.add(starts[i]!, ends[i]!, 0);
      return batch;
    }
    let size = 0;
    for (let i = from; i < to; i++) {
      size += textLength(topicOf(envelopes, i)) + ends[i]! - starts[i]!;
    }
    if (size > this.#buffer.length || this.#buffer.length > KEEP) {
      this.#buffer = new Uint8Array(Math.max(size, FIRST_ROOM));
    }
    const buffer = batch.bytes = this.#buffer;
    for (let i = from, at = 0; i < to; i++) {
      const topic = topicOf(envelopes, i);
      if (topic !== "") {
        const end = writeText(topic, buffer, at);
        batch.add(at, end, MORE);
        at = end;
      }
      const end = copyBytes(bytes, starts[i]!, ends[i]!, buffer, at);
      batch.add(at, end, 0);
      at = end;
    }
    return batch;
  }
}

const NOTHING = new Uint8Array(0);

function topicOf(envelopes: Envelope | readonly Envelope[], i: number): string {
  return isList(envelopes) ? envelopes[i]!.routingKey : envelopes.routingKey;
}

function isList(envelopes: Envelope | readonly Envelope[]): envelopes is readonly Envelope[] {
  return Array.isArray(envelopes);
}
