/** What an inbox holds back when it is full. */
export interface Pausable {
  pause(): void;
  resume(): void;
}

/** When the source is paused: at so many messages, or so many bytes, whichever comes first. */
export interface InboxLimits {
  readonly hwm: number;
  readonly hwmBytes: number;
}

/**
 * Messages that came and that nobody has asked for yet. At the high-water mark the source is paused, so the inbox
 * holds at most that much, and what the last piece of input brought.
 */
export class Inbox<T> {
  readonly #source: Pausable;
  readonly #limits: InboxLimits;
  readonly #sizeOf: (item: T) => number;
  #bytes = 0;
  #items: T[] = [];
  /** Where the first item is: shifting a long array for each message is slow. */
  #head = 0;
  #paused = false;
  #ended = false;
  #takers: ((item: T | undefined) => void)[] = [];

  /** @param sizeOf an item's length in bytes, which may not change */
  constructor(source: Pausable, limits: InboxLimits, sizeOf: (item: T) => number) {
    this.#source = source;
    this.#limits = limits;
    this.#sizeOf = sizeOf;
  }

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

  /** Forgets what waits. */
  clear(): void {
    this.#items = [];
    this.#head = this.#bytes = 0;
  }

  /** Puts items that were taken back to the front. */
  putBack(items: T[]): void {
    const taken = items.splice(0, this.#takers.length);
    for (const item of taken) this.#takers.shift()!(item);
    this.#items = [...items, ...this.#items.slice(this.#head)];
    this.#head = 0;
    for (const item of items) this.#bytes += this.#sizeOf(item);
  }

  /** The next item; undefined after `end`, or when there is no `hope` of one, once all are taken. */
  take(hope = true): Promise<T | undefined> {
    if (this.#head < this.#items.length) return Promise.resolve(this.#shift());
    if (this.#ended || !hope) return Promise.resolve(undefined);
    return new Promise((resolve) => this.#takers.push(resolve));
  }

  end(): void {
    this.#ended = true;
    this.dismiss();
  }

  /** Sends everybody who waits away with undefined. */
  dismiss(): void {
    for (const taker of this.#takers.splice(0)) taker(undefined);
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

  /** How full it is: 1 at the mark. */
  #fill(): number {
    const { hwm, hwmBytes } = this.#limits;
    return Math.max((this.#items.length - this.#head) / hwm, this.#bytes / hwmBytes);
  }
}
