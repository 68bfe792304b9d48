/** A source that an inbox pauses when it is full. */
export interface Pausable {
  pause(): void;
  resume(): void;
}

/** The high-water mark, in messages and in bytes: the source is paused when either is reached. */
export interface InboxLimits {
  readonly hwm: number;
  readonly hwmBytes: number;
}

/** A waiting call of `take`. */
type Taker<T> = (item: T | undefined) => void;

/**
 * A queue of received items. At the high-water mark it pauses the source, so it holds at most that much and the rest of
 * the input that reached the mark.
 */
export class Inbox<T> {
  readonly #source: Pausable;
  readonly #limits: InboxLimits;
  readonly #sizeOf: (item: T) => number;
  #bytes = 0;
  #items: T[] = [];
  /** The index of the first item: shifting a long array for each message is slow. */
  #head = 0;
  #paused = false;
  #ended = false;
  readonly #takers: Taker<T>[] = [];

  /** @param sizeOf the length of an item in bytes, which must not change */
  constructor(source: Pausable, limits: InboxLimits, sizeOf: (item: T) => number) {
    this.#source = source;
    this.#limits = limits;
    this.#sizeOf = sizeOf;
  }

  /** Adds an item, or passes it to the first waiting call of `take`. */
  put(item: T): void {
    const taker = this.#takers.shift();
    if (taker !== undefined) return taker(item);
    this.#items.push(item);
    this.#bytes += this.#sizeOf(item);
    if (!this.#paused && this.#fill() >= 1) {
      this.#paused = true;
      this.#source.pause();
    }
  }

  /** Drops all items. */
  clear(): void {
    this.#items = [];
    this.#head = this.#bytes = 0;
  }

  /** Returns items that were taken to the front of the queue. */
  putBack(items: T[]): void {
    const taken = items.splice(0, this.#takers.length);
    for (const item of taken) this.#takers.shift()!(item);
    this.#items = [...items, ...this.#items.slice(this.#head)];
    this.#head = 0;
    for (const item of items) this.#bytes += this.#sizeOf(item);
  }

  /**
   * Takes the next item; it waits for one if the inbox is empty.
   *
   * @param hope whether another item can still arrive
   * @param signal cancels the wait
   * @returns the item; undefined if the inbox is empty and has ended, or if there is no hope
   * @throws the reason of `signal`
   */
  take(hope = true, signal?: AbortSignal): Promise<T | undefined> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#head < this.#items.length) return Promise.resolve(this.#shift());
    if (this.#ended || !hope) return Promise.resolve(undefined);
    if (signal !== undefined) return this.#wait(signal);
    return new Promise((resolve) => this.#takers.push(resolve));
  }

  /** Ends the inbox: once it is empty, every `take` resolves to undefined. */
  end(): void {
    this.#ended = true;
    this.dismiss();
  }

  /** Resolves all waiting calls of `take` to undefined. */
  dismiss(): void {
    for (const taker of this.#takers.splice(0)) taker(undefined);
  }

  /** Waits for an item until `signal` is aborted. A cancelled call leaves the queue, so it takes no item. */
  #wait(signal: AbortSignal): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.#takers.splice(this.#takers.indexOf(taker), 1);
        reject(signal.reason);
      };
      const taker = (item: T | undefined) => {
        signal.removeEventListener("abort", abort);
        resolve(item);
      };
      signal.addEventListener("abort", abort, { once: true });
      this.#takers.push(taker);
    });
  }

  #shift(): T {
    const item = this.#items[this.#head++]!;
    this.#bytes -= this.#sizeOf(item);
    if (this.#head > 1024 || this.#head === this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    if (this.#paused && !this.#ended && this.#fill() <= 0.5) {
      this.#paused = false;
      this.#source.resume();
    }
    return item;
  }

  /** The fill level: 1 at the high-water mark. */
  #fill(): number {
    const { hwm, hwmBytes } = this.#limits;
    return Math.max((this.#items.length - this.#head) / hwm, this.#bytes / hwmBytes);
  }
}
