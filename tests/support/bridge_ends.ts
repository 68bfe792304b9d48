/** A source and a sink of a bridge without I/O: queues of numbered messages that can be cut at any time. */
import { NO_PROPERTIES } from "../../lib/amqp/properties.ts";
import type { Bodies, Envelope, Inlet, InletEvents, Outlet, Receipt } from "../../lib/patterns/contract.ts";
import { Signal } from "../../lib/transport/waiting.ts";

/** A queue that delivers numbered messages with acknowledgements, as an AMQP broker does. */
export class FakeSource implements Inlet {
  readonly changed = new Signal();
  failure: Error | undefined;
  generation = 0;
  isPaused = false;
  isCancelled = false;
  isClosed = false;
  forgets = false;
  /** The numbers of the messages that are ready, in order. */
  ready: number[];
  /** The numbers of acknowledged messages, in the order of the acknowledgements. */
  readonly acknowledged: number[] = [];
  /** The numbers of the unacknowledged messages by their tags. */
  readonly unacked = new Map<number, number>();

  readonly #events: InletEvents;
  readonly #prefetch: number;
  readonly #seen = new Set<number>();
  #tag = 0;

  constructor(events: InletEvents, count: number, prefetch = Infinity) {
    this.#events = events;
    this.#prefetch = prefetch;
    this.ready = Array.from({ length: count }, (_, i) => i);
  }

  async start(): Promise<void> {
    this.generation++;
    return await Promise.resolve();
  }

  /** Delivers up to `count` messages in one chunk. */
  deliver(count: number): void {
    if (this.isPaused || this.isCancelled || this.isClosed || this.generation === 0) return;
    let some = false;
    while (count-- > 0 && this.ready.length > 0 && this.unacked.size < this.#prefetch) {
      const number = this.ready.shift()!;
      const tag = ++this.#tag;
      this.unacked.set(tag, number);
      const body = new TextEncoder().encode(`-${number}-`);
      this.#events.onDelivery({
        deliveryTag: tag,
        redelivered: this.#seen.has(number),
        exchange: "",
        routingKey: "source",
        content: {
          properties: NO_PROPERTIES,
          propertiesEnd: NO_PROPERTIES.length,
          body,
          bodyStart: 1,
          bodyEnd: body.length - 1,
        },
      });
      body.fill(0);
      this.#seen.add(number);
      some = true;
      if (this.isCancelled) break;
    }
    if (some) this.#events.onBatchEnd?.();
  }

  /** Loses the connection and connects again: unacknowledged messages are ready again, unless the source forgets them. */
  cut(): void {
    if (!this.forgets) this.ready = [...this.unacked.values(), ...this.ready].sort((a, b) => a - b);
    this.unacked.clear();
    this.isCancelled = false;
    this.#tag = 0;
    this.generation++;
    this.changed.fire();
  }

  ack({ generation, tag }: Receipt, multiple: boolean): void {
    if (generation !== this.generation) return;
    if (!this.unacked.has(tag)) throw new Error(`the tag ${tag} is acknowledged twice`);
    for (const [other, number] of [...this.unacked]) {
      if (other !== tag && !(multiple && other < tag)) continue;
      this.acknowledged.push(number);
      this.unacked.delete(other);
    }
  }

  nack(): void {}
  flush(): void {}

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  async cancel(): Promise<void> {
    this.isCancelled = true;
    return await Promise.resolve();
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.changed.fire();
    return await Promise.resolve();
  }
}

/** A broker that confirms messages in any order, refuses and returns them, as the publisher of a client shows it. */
export class FakeSink implements Outlet {
  acknowledged = 0;
  refused = 0;
  refusalReason = "";
  returned = 0;
  returnReason = "";
  onSettled: () => void = () => {};
  readonly changed = new Signal();
  failure: Error | undefined;
  isClosed = false;
  window: number;
  /** The numbers of messages in the order of their arrival, those that were sent again included. */
  readonly arrived: number[] = [];
  /** The numbers of messages that the broker has confirmed. */
  readonly taken = new Set<number>();
  readonly envelopes: Envelope[] = [];
  /** Published messages: their numbers, and whether they are confirmed. */
  readonly #log: { readonly number: number; state: "pending" | "taken" | "refused" }[] = [];

  constructor(window = Infinity) {
    this.window = window;
  }

  get pending(): number {
    return this.#log.filter(({ state }) => state === "pending").length;
  }

  get takenInOrder(): number {
    const at = this.#log.findIndex(({ state }) => state !== "taken");
    return at < 0 ? this.#log.length : at;
  }

  async start(): Promise<void> {}

  publish(
    bodies: Bodies,
    from: number,
    to: number,
    envelopes: Envelope | readonly Envelope[],
  ): number {
    const end = Math.min(to, from + this.window - this.pending);
    for (let i = from; i < end; i++) {
      const number = Number(
        new TextDecoder().decode(bodies.bytes.subarray(bodies.starts[i], bodies.ends[i])),
      );
      this.#log.push({ number, state: "pending" });
      this.arrived.push(number);
      this.envelopes.push(Array.isArray(envelopes) ? envelopes[i]! : envelopes);
    }
    return Math.max(from, end);
  }

  /** Confirms or refuses pending message number `at`, or all up to it. */
  settle(at: number, taken: boolean, multiple: boolean): void {
    const pending = this.#log.filter(({ state }) => state === "pending");
    if (pending.length === 0) return;
    const last = at % pending.length;
    for (const message of multiple ? pending.slice(0, last + 1) : [pending[last]!]) {
      message.state = taken ? "taken" : "refused";
      if (taken) {
        this.acknowledged++;
        this.taken.add(message.number);
      } else this.refused++;
    }
    this.onSettled();
    this.changed.fire();
  }

  /** Confirms all pending messages. */
  settleAll(): void {
    this.settle(this.pending - 1, true, true);
  }

  /** Confirms and returns the first pending message. */
  return(): void {
    this.returned++;
    this.settle(0, true, false);
  }

  /** Loses the connection and connects again: pending messages are sent again. */
  cut(): void {
    for (const { number, state } of this.#log) if (state === "pending") this.arrived.push(number);
    this.changed.fire();
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.changed.fire();
    return await Promise.resolve();
  }
}
