/** The packet identifiers of messages to the server: which one is in use, and for which message. */

/** The identifier is free. */
export const FREE = 0;
/** A PUBLISH was sent. */
export const SENT = 1;
/** A PUBREC arrived, and a PUBREL was sent. */
export const RELEASED = 2;

/** The highest number of identifiers in use, and the highest identifier. */
const MAX_IDS = 16_384;

/** Identifiers are used in turn, so that a late acknowledgement does not meet the next message. */
export class PacketIds {
  /** The number of identifiers in use. */
  used = 0;
  /** The state of the last taken identifier in the last connection. */
  adoptedState = FREE;

  readonly #limit: number;
  /** By identifier. */
  readonly #states = new Uint8Array(MAX_IDS + 1);
  readonly #tags = new Float64Array(MAX_IDS + 1);
  /** The identifiers that are not in use, in a ring: the next one is at `#first`. */
  readonly #next: Uint16Array;
  #first = 0;

  /**
   * @param limit the maximum number of identifiers in use, at least 1
   * @param adopted the identifiers of a session that continues: its messages are sent again, in the same order, and first
   */
  constructor(limit: number, adopted?: PacketIds) {
    this.#limit = Math.min(limit, MAX_IDS);
    const ids = adopted?.inOrder() ?? [];
    for (const id of ids) this.#states[id] = adopted!.#states[id]!;
    this.#next = new Uint16Array(MAX_IDS);
    this.#next.set(ids);
    for (let id = 1, at = ids.length; id <= MAX_IDS; id++) {
      if (this.#states[id] === FREE) this.#next[at++] = id;
    }
  }

  /** Whether no message may be sent before another one is acknowledged. */
  get full(): boolean {
    return this.used >= this.#limit;
  }

  /** The state of an identifier that was taken. */
  state(id: number): number {
    return id > MAX_IDS || this.#tags[id] === 0 ? FREE : this.#states[id]!;
  }

  /** Takes the next identifier for a message. Its state is SENT, or that of the last connection. */
  take(tag: number): number {
    const id = this.#next[this.#first]!;
    this.#first = (this.#first + 1) % MAX_IDS;
    this.adoptedState = this.#states[id]!;
    if (this.adoptedState === FREE) this.#states[id] = SENT;
    this.#tags[id] = tag;
    this.used++;
    return id;
  }

  /** The tag of the message with an identifier. */
  tag(id: number): number {
    return this.#tags[id]!;
  }

  /** Records a PUBREC. */
  release(id: number): void {
    this.#states[id] = RELEASED;
  }

  /** Frees an identifier. @returns the tag of its message */
  free(id: number): number {
    const tag = this.#tags[id]!;
    this.#tags[id] = 0;
    this.#states[id] = FREE;
    this.#next[(this.#first + MAX_IDS - this.used) % MAX_IDS] = id;
    this.used--;
    return tag;
  }

  /** The identifiers of messages that are not settled, in the order of the messages. */
  inOrder(): number[] {
    const ids: number[] = [];
    for (let id = 1; id <= MAX_IDS; id++) if (this.#states[id] !== FREE && this.#tags[id]! > 0) ids.push(id);
    ids.sort((one, other) => this.#tags[one]! - this.#tags[other]!);
    // Adopted identifiers that were not taken yet follow, in their order; they are at the front of the ring.
    const isAdopted = (id: number) => this.#states[id] !== FREE && this.#tags[id] === 0;
    return ids.concat(...Array.from(this.#next.subarray(this.#first)).filter(isAdopted));
  }
}
