import type { Signal } from "../transport/waiting.ts";
import { untilAborted } from "./abort.ts";
import type { Delivery, Receipt } from "./message.ts";

/** How a message ends: acknowledged, back in its queue, or rejected. */
export type Settlement = "ack" | "requeue" | "reject";

/** Sends the acknowledgement of a message. */
export interface Settler {
  /** @param generation the number of the connection that delivered the message */
  settle(generation: number, deliveryTag: number, outcome: Settlement): void;
}

/** What a stream uses of a consumer. */
export interface StreamedInlet {
  start(): Promise<void>;
  readonly changed: Signal;
  readonly failure: Error | undefined;
  readonly generation: number;
  ack(receipt: Receipt, multiple: boolean): void;
  nack(receipt: Receipt, requeue: boolean): void;
  flush(): void;
  pause(): void;
  resume(): void;
  close(limit?: number): Promise<void>;
}

/** The callbacks of the inlet of a stream. */
export interface StreamEvents {
  readonly onDelivery: (delivery: Delivery) => void;
  readonly onBatchEnd: () => void;
}

/** Options of a message stream. */
export interface StreamOptions<M> {
  /** Makes the inlet, which passes its deliveries to the stream. */
  readonly open: (events: StreamEvents) => StreamedInlet;
  /** Copies a delivery. @param generation the number of its connection */
  readonly copy: (delivery: Delivery, settler: Settler, generation: number) => M;
  /** The inlet is paused while the buffer holds this number of messages. Default: no limit but that of the server */
  readonly limit?: number;
  /** Closes the stream; `receive` and the iteration reject with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** Called once, when the stream begins to close. */
  readonly onClose?: () => void;
}

/** A message in the buffer, with the number of the connection that it came on. */
interface Buffered<M> {
  readonly message: M;
  readonly generation: number;
}

/** The messages of an inlet as an async iterable. Its buffer is bounded by unacknowledged messages, or by `limit`. */
export class MessageStream<M> implements Settler, AsyncDisposable {
  readonly #inlet: StreamedInlet;
  readonly #options: StreamOptions<M>;
  #buffer: Buffered<M>[] = [];
  #closing: Promise<void> | undefined;
  #flushing = false;
  #paused = false;

  constructor(options: StreamOptions<M>) {
    this.#options = options;
    this.#inlet = options.open({
      onDelivery: (delivery) => this.#onDelivery(delivery),
      onBatchEnd: () => this.#inlet.changed.fire(),
    });
  }

  /** Connects and starts to receive; closes the stream when that fails. */
  async start(): Promise<void> {
    const { signal } = this.#options;
    try {
      await untilAborted(this.#inlet.start(), signal);
    } catch (error) {
      this.close().catch(() => {});
      throw error;
    }
    signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Waits for the next message. @returns undefined when the stream is closed */
  async receive({ signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<M | undefined> {
    for (;;) {
      this.#options.signal?.throwIfAborted();
      signal?.throwIfAborted();
      if (this.#closing !== undefined) return undefined;
      const message = this.#next();
      if (message !== undefined) return message;
      if (this.#inlet.failure !== undefined) throw this.#inlet.failure;
      await untilAborted(this.#inlet.changed.wait(), signal);
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<M, undefined> {
    for (let message = await this.receive(); message !== undefined; message = await this.receive()) {
      yield message;
    }
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  settle(generation: number, tag: number, outcome: Settlement): void {
    const receipt = { generation, tag };
    if (outcome === "ack") this.#inlet.ack(receipt, false);
    else this.#inlet.nack(receipt, outcome === "requeue");
    if (this.#flushing) return;
    // Acknowledgements of one task are written together.
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      this.#inlet.flush();
    });
  }

  readonly #onAbort = (): void => {
    this.close().catch(() => {});
  };

  async #close(): Promise<void> {
    this.#options.onClose?.();
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#buffer = [];
    this.#inlet.flush();
    this.#inlet.changed.fire();
    await this.#inlet.close();
  }

  #onDelivery(delivery: Delivery): void {
    if (this.#closing !== undefined) return;
    const { generation } = this.#inlet;
    this.#buffer.push({ message: this.#options.copy(delivery, this, generation), generation });
    if (this.#paused || this.#buffer.length < (this.#options.limit ?? Infinity)) return;
    this.#paused = true;
    this.#inlet.pause();
  }

  /** The next message in the buffer. Those of a lost connection are dropped: the server delivers them again. */
  #next(): M | undefined {
    let message: M | undefined;
    while (message === undefined && this.#buffer.length > 0) {
      const next = this.#buffer.shift()!;
      if (next.generation === this.#inlet.generation) message = next.message;
    }
    if (this.#paused && this.#buffer.length <= this.#options.limit! / 2) {
      this.#paused = false;
      this.#inlet.resume();
    }
    return message;
  }
}
