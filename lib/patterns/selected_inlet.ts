import type { Filter } from "../filter/filter.ts";
import { DeliveredMessage } from "../filter/message.ts";
import type { Signal } from "../transport/waiting.ts";
import type { Delivery, Inlet, InletEvents, Receipt } from "./contract.ts";

/** Which messages of an inlet are wanted, and what happens to the others. */
export class Selection {
  readonly filter: Filter;
  /**
   * What happens to the others: `drop` acknowledges them; `hold` leaves them unacknowledged, so that they return to
   * their queue when the inlet is closed.
   */
  readonly others: "drop" | "hold";
  /** The number of messages that are held. */
  held = 0;
  /** The number of messages that were dropped. */
  dropped = 0;

  constructor(filter: Filter, others: "drop" | "hold") {
    this.filter = filter;
    this.others = others;
  }
}

/** Passes on the messages of an inlet that match a filter. If the server applies the filter, all of them match. */
export class SelectedInlet implements Inlet {
  readonly #inlet: Inlet;
  readonly #selection: Selection;
  readonly #events: InletEvents;
  readonly #message = new DeliveredMessage();
  /** With `hold`: the tags of the unsettled messages that match, in their order. */
  readonly #matched = new Set<number>();
  #generation = 0;
  /** Whether messages were dropped whose acknowledgements are not sent. */
  #unsent = false;

  /** @param open makes the inlet that receives the messages */
  constructor(selection: Selection, open: (events: InletEvents) => Inlet, events: InletEvents) {
    this.#selection = selection;
    this.#events = events;
    this.#inlet = open({
      onDelivery: (delivery) => this.#take(delivery),
      onBatchEnd: () => this.#endBatch(),
    });
    if (this.#inlet.isDrained !== undefined) this.isDrained = () => this.#inlet.isDrained!();
  }

  isDrained?: () => Promise<boolean>;

  get changed(): Signal {
    return this.#inlet.changed;
  }

  get failure(): Error | undefined {
    return this.#inlet.failure;
  }

  get broker(): string | undefined {
    return this.#inlet.broker;
  }

  get generation(): number {
    return this.#inlet.generation;
  }

  start(): Promise<void> {
    return this.#inlet.start();
  }

  /** Several at once are acknowledged one by one if messages between them are held. */
  ack(receipt: Receipt, multiple: boolean): void {
    if (!this.#holds) return this.#inlet.ack(receipt, multiple);
    if (receipt.generation !== this.#generation) return;
    if (!multiple) return this.#acknowledge(receipt.tag);
    for (const tag of this.#matched) {
      if (tag > receipt.tag) break;
      this.#acknowledge(tag);
    }
  }

  nack(receipt: Receipt, requeue: boolean): void {
    this.#matched.delete(receipt.tag);
    this.#inlet.nack(receipt, requeue);
  }

  flush(): void {
    this.#inlet.flush();
  }

  pause(): void {
    this.#inlet.pause();
  }

  resume(): void {
    this.#inlet.resume();
  }

  cancel(limit?: number): Promise<void> {
    return this.#inlet.cancel(limit);
  }

  close(limit?: number): Promise<void> {
    return this.#inlet.close(limit);
  }

  get #holds(): boolean {
    return this.#selection.others === "hold" && !this.#inlet.selects;
  }

  #take(delivery: Delivery): void {
    const selection = this.#selection;
    if (this.#inlet.selects) return this.#events.onDelivery(delivery);
    if (this.#generation !== this.#inlet.generation) this.#renew();
    const tag = delivery.deliveryTag;
    if (selection.filter.matches(this.#message.of(delivery))) {
      if (this.#holds) this.#matched.add(tag);
      this.#events.onDelivery(delivery);
    } else if (selection.others === "hold") selection.held++;
    else {
      selection.dropped++;
      this.#unsent = true;
      this.#inlet.ack({ generation: this.#generation, tag }, false);
    }
  }

  /** The messages of a lost connection come again. */
  #renew(): void {
    this.#generation = this.#inlet.generation;
    this.#matched.clear();
    this.#selection.held = 0;
  }

  #endBatch(): void {
    if (this.#unsent) {
      this.#unsent = false;
      this.#inlet.flush();
    }
    this.#events.onBatchEnd?.();
  }

  #acknowledge(tag: number): void {
    if (this.#matched.delete(tag)) this.#inlet.ack({ generation: this.#generation, tag }, false);
  }
}
