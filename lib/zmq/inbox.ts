/** What an inbox holds back when it is full. */
export interface Pausable {
  pause(): void;
  resume(): void;
}

/**
 * Messages that came and that nobody has asked for yet. At the high-water mark the source is paused, so the inbox
 * holds at most that many, and what the last piece of input brought.
 */
export class Inbox<T> {
  readonly #source: Pausable;
  readonly #hwm: number;
  #items: T[] = [];
  /** Where the first item is: shifting a long array for each message is slow. */
  #head = 0;
  #paused = false;
  #ended = false;
  #takers: ((item: T | undefined) => void)[] = [];

  constructor(source: Pausable, hwm: number) {
    this.#source = source;
    this.#hwm = hwm;
  }

  put(item: T): void {
    const taker = this.#takers.shift();
    if (taker !== undefined) return taker(item);
    this.#items.push(item);
    if (this.#items.length - this.#head >= this.#hwm && !this.#paused) {
      this.#paused = true;
      this.#source.pause();
    }
  }

  /** Puts items that were taken back to the front. */
  putBack(items: T[]): void {
    const taken = items.splice(0, this.#takers.length);
    for (const item of taken) this.#takers.shift()!(item);
    this.#items = [...items, ...this.#items.slice(this.#head)];
    this.#head = 0;
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
    const left = this.#items.length - this.#head;
    if (this.#head > 1024 || left === 0) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    if (this.#paused && !this.#ended && left <= this.#hwm / 2) {
      this.#paused = false;
      this.#source.resume();
    }
    return item;
  }
}
