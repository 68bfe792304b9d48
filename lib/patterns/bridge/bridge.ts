import { MqcatError } from "../../errors.ts";
import { Signal } from "../../transport/waiting.ts";
import type { Delivery, Envelope, Inlet, InletEvents, Outlet } from "../contract.ts";
import { InFlight } from "./in_flight.ts";
import { Pile } from "./pile.ts";

/** The longest wait before the state is checked again, in milliseconds. */
const LOOK_MS = 50;

/** Options of a bridge. */
export interface BridgeOptions {
  /**
   * Returns the envelope with which a message is published, or the reason why it cannot be published; then it stays at its
   * source. Use the same object for equal envelopes. The delivery is valid during the call only.
   */
  readonly address: (delivery: Delivery) => Envelope | string;
  /**
   * Whether a message can be published now: true; a text is the reason why it stays at its source; undefined is not known
   * yet, and the messages after it wait until `proceed` is called. Default: every message can
   */
  readonly admit?: ((envelope: Envelope) => true | string | undefined) | undefined;
  /** Whether the bridge must stop reading for now, until `proceed` is called. */
  readonly isFull?: (() => boolean) | undefined;
  /** Called for each message that is acknowledged at its source. */
  readonly onForwarded?: ((envelope: Envelope) => void) | undefined;
  /** Called when the first message stays at its source, or is dropped, for a reason. */
  readonly onKept?: ((reason: string) => void) | undefined;
  /** The maximum number of messages to forward. Default: no limit */
  readonly count?: number | undefined;
  /** The number of messages that the source has now, and that are forwarded: later ones are not. Default: no limit */
  readonly present?: number | undefined;
  /**
   * Whether unacknowledged messages may not arrive again, as in subscriptions: then all that arrived are forwarded, also
   * after a lost connection and in `finish`, and those that cannot be forwarded are dropped. Default: false
   */
  readonly isLossy?: boolean | undefined;
  /** The number of unacknowledged messages that the inlet receives at most. Default: no limit */
  readonly prefetch?: number | undefined;
}

/**
 * Forwards the messages of an inlet to an outlet, at least once: a message is acknowledged at its source when the outlet
 * has it, and all messages before it. The order is kept. While the outlet has no room the inlet is paused. After a lost
 * connection at either end unacknowledged messages arrive again, so some may be forwarded twice.
 *
 * After a message that the other side refused or returned, nothing more is acknowledged: stop the bridge then (`isStuck`).
 */
export class Bridge {
  /** Receives the messages. */
  readonly inlet: Inlet;
  /** Sends them. */
  readonly outlet: Outlet;
  /** Fires when messages arrive or are forwarded, when a connection changes, and at a permanent failure. */
  readonly changed: Signal = new Signal();
  /** The number of messages that the outlet has, and that are acknowledged at the source. */
  forwarded = 0;
  /** The number of messages that were passed to the outlet. */
  published = 0;
  /** The number of received messages, without those that are delivered again after a lost connection. */
  taken = 0;
  /** The size of the bodies of all received messages, in bytes. */
  bytes = 0;
  /** When the last message arrived, by `performance.now`. */
  lastAt: number = performance.now();
  /** The number of messages of the current connection that stay at their source, and why; of a lossy source, of all dropped ones. */
  readonly kept: Map<string, number> = new Map();

  readonly #options: BridgeOptions;
  readonly #wanted: number;
  readonly #prefetch: number;
  readonly #pile = new Pile();
  readonly #inFlight = new InFlight();
  /** The number of messages that were removed from `#inFlight`. */
  #settled = 0;
  #generation = 0;
  #keptCount = 0;
  #present: number;
  /** Whether a message was received that was never delivered before. */
  #fresh = false;
  /** The number of messages that were acknowledged on the current connection, which may come again all the same. */
  #acknowledged = 0;
  #paused = false;
  #over = false;
  #closed = false;
  #failure: Error | undefined;

  /**
   * @param outlet the sending side, not started
   * @param receive makes the receiving side, which is not started, with the callbacks of the bridge
   */
  constructor(outlet: Outlet, receive: (events: InletEvents) => Inlet, options: BridgeOptions) {
    this.outlet = outlet;
    this.inlet = receive({
      onDelivery: (delivery) => this.#take(delivery),
      onBatchEnd: () => this.#endBatch(),
    });
    this.#options = options;
    this.#wanted = options.count ?? Infinity;
    this.#prefetch = options.prefetch ?? Infinity;
    this.#present = options.present ?? Infinity;
    outlet.onSettled = () => this.proceed();
    this.#follow(this.inlet.changed);
    this.#follow(outlet.changed);
  }

  /** The permanent failure of an end, or the one that was passed to `fail`. */
  get failure(): Error | undefined {
    return this.#failure ?? this.inlet.failure ?? this.outlet.failure;
  }

  /** The sum of `kept`. */
  get keptCount(): number {
    return this.#keptCount;
  }

  /** Whether every received message is forwarded, or stays at its source. */
  get isIdle(): boolean {
    return this.#pile.empty && this.#settled === this.published;
  }

  /** Whether nothing more can be forwarded: a message was refused or returned, or kept messages fill the prefetch window. */
  get isStuck(): boolean {
    return this.isRefused || this.isIdle && this.#keptCount >= this.#prefetch;
  }

  /** Whether the other side refused or returned a message. */
  get isRefused(): boolean {
    return this.outlet.refused + this.outlet.returned > 0;
  }

  /** Whether the wanted number of messages is forwarded. */
  get isComplete(): boolean {
    return this.forwarded + this.#keptCount >= this.#limit;
  }

  /** Ends the bridge with a failure. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.changed.fire();
  }

  /** Publishes and acknowledges as much as possible: call it when `admit` or `isFull` may return something else. */
  proceed(): void {
    this.#renew();
    this.#acknowledge();
    this.#publish();
    this.changed.fire();
  }

  /**
   * Ends the deliveries, and waits for the outcome of the published messages. Others stay at their source, unless it is
   * lossy: then they are published, too. Call `close` afterwards.
   *
   * @param limit how long to wait for the outlet, in milliseconds
   * @param cancel ends the deliveries. Default: `inlet.cancel`
   */
  async finish(limit: number, cancel: () => Promise<void> = () => this.inlet.cancel()): Promise<void> {
    this.#over = true;
    await cancel();
    const end = performance.now() + limit;
    for (;;) {
      this.proceed();
      const isWanted = this.#options.isLossy && !this.isRefused;
      const waits = isWanted ? !this.isIdle : this.outlet.pending > 0;
      const left = end - performance.now();
      if (!waits || this.outlet.failure !== undefined || left <= 0) return;
      await this.changed.wait(Math.min(left, LOOK_MS));
    }
  }

  /** Closes both ends; see `Inlet.close` and `Outlet.close`. */
  async close(limit?: number): Promise<void> {
    this.#closed = true;
    await this.inlet.close(limit);
    await this.outlet.close(limit);
  }

  get #limit(): number {
    return Math.min(this.#wanted, this.#present);
  }

  async #follow(signal: Signal): Promise<void> {
    while (!this.#closed) {
      await signal.wait();
      try {
        this.proceed();
      } catch (error) {
        return this.fail(error as Error);
      }
    }
  }

  /** Unacknowledged messages of the previous connection arrive again; acknowledged ones may, too. */
  #renew(): void {
    if (this.#generation === this.inlet.generation) return;
    this.#generation = this.inlet.generation;
    if (this.#options.isLossy) return this.#pile.forgetTags();
    this.#pile.clear();
    this.kept.clear();
    this.#keptCount = 0;
    this.taken = this.forwarded;
    this.#present += this.#acknowledged;
    this.#acknowledged = 0;
  }

  #take(delivery: Delivery): void {
    this.#renew();
    // After fresh ones it comes again, because the node of its queue has changed: it is not one more of those that are present.
    if (!delivery.redelivered) this.#fresh = true;
    else if (this.#fresh) this.#present++;
    if (this.#failure !== undefined || this.taken >= this.#limit) return;
    // Cancel before an acknowledgement makes room for unwanted messages.
    if (++this.taken >= this.#limit) this.inlet.cancel();
    this.bytes += delivery.content.bodyEnd - delivery.content.bodyStart;
    const envelope = this.#options.address(delivery);
    // `address` may have called `fail`: the message stays at its source.
    if (this.#failure !== undefined) return;
    if (typeof envelope === "string") this.#keep(delivery.deliveryTag, envelope);
    else this.#pile.add(delivery, envelope);
  }

  #endBatch(): void {
    this.lastAt = performance.now();
    this.#publish();
    if (this.#keptCount > 0) this.changed.fire();
  }

  #publish(): void {
    const pile = this.#pile;
    while (!pile.empty && this.#publishSome());
    if (pile.empty) pile.clear();
    const pauses = !pile.empty || (this.#options.isFull?.() ?? false);
    if (pauses === this.#paused) return;
    this.#paused = pauses;
    if (pauses) this.inlet.pause();
    else this.inlet.resume();
  }

  /** Publishes, or keeps, the first messages of the pile. @returns whether there were any */
  #publishSome(): boolean {
    const pile = this.#pile;
    const { admit } = this.#options;
    const from = pile.at;
    let to = pile.count;
    if (admit !== undefined) {
      for (to = from; to < pile.count && admit(pile.envelopes[to]!) === true;) to++;
      if (to === from) {
        const reason = admit(pile.envelopes[from]!);
        if (typeof reason !== "string") return false;
        this.#keep(pile.tags[pile.at++]!, reason);
        return true;
      }
    }
    try {
      pile.at = this.outlet.publish(pile, from, to, pile.uniform ? pile.envelopes[0]! : pile.envelopes);
    } catch (error) {
      if (!(error instanceof MqcatError || error instanceof RangeError)) throw error;
      // They are too large, or malformed: not every system decodes the headers of its messages.
      this.#keep(pile.tags[pile.at++]!, "whose topic or headers the other side cannot have");
      return true;
    }
    for (let i = from; i < pile.at; i++) {
      this.#inFlight.push(pile.tags[i]!, this.#generation, pile.envelopes[i]!);
    }
    this.published += pile.at - from;
    return pile.at > from;
  }

  #keep(tag: number, reason: string): void {
    if (this.#options.isLossy && tag > 0) this.inlet.ack({ generation: this.#generation, tag }, false);
    if (!this.kept.has(reason)) this.#options.onKept?.(reason);
    this.kept.set(reason, (this.kept.get(reason) ?? 0) + 1);
    this.#keptCount++;
  }

  #acknowledge(): void {
    // A returned message is among the accepted ones; the broker does not say which one it is.
    if (this.outlet.returned > 0) return;
    // Acknowledgements make room for unwanted messages, unless all wanted ones have arrived.
    if (
      this.taken < this.#wanted && this.#wanted <= this.#prefetch && this.#options.count !== undefined &&
      !this.#over
    ) {
      return;
    }
    const { inlet } = this;
    const { isLossy = false } = this.#options;
    const inFlight = this.#inFlight;
    let last = 0;
    for (const { takenInOrder } = this.outlet; this.#settled < takenInOrder; this.#settled++) {
      const { tag, generation, envelope } = inFlight;
      inFlight.shift();
      // Messages of a lost connection cannot be acknowledged any more: they come again.
      const isLive = generation === this.#generation && tag > 0;
      if (!isLive && !isLossy) continue;
      this.forwarded++;
      this.#acknowledged++;
      this.#options.onForwarded?.(envelope);
      if (!isLive) continue;
      // One multiple acknowledgement is enough, unless it would include messages that stay.
      if (this.#keptCount > 0 && !isLossy) inlet.ack({ generation, tag }, false);
      else last = tag;
    }
    if (last > 0) inlet.ack({ generation: this.#generation, tag: last }, true);
    inlet.flush();
  }
}
