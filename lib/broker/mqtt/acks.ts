import { type AckType, PUBACK } from "../../mqtt/packet_type.ts";

const FIRST_SIZE = 16;
/** A connection that does not publish has no arrays. */
const NO_BYTES = new Uint8Array(0);
const NO_IDS = new Uint16Array(0);
const NO_POSITIONS = new Float64Array(0);

/**
 * Acknowledgements that wait until the journal is safe, in order [MQTT-4.6.0-2]: a ring of parallel arrays, without an
 * object for each.
 */
export class PendingAcks {
  /** The number of acknowledgements. */
  length = 0;
  /** How many of them are PUBACK. */
  pubacks = 0;
  #first = 0;
  #types = NO_BYTES;
  #codes = NO_BYTES;
  #ids = NO_IDS;
  #positions = NO_POSITIONS;

  /** @param position position of the journal that must be safe first */
  push(type: AckType, packetId: number, reasonCode: number, position: number): void {
    if (this.length === this.#types.length) this.#grow();
    const at = this.#first + this.length++ & this.#types.length - 1;
    if (type === PUBACK) this.pubacks++;
    this.#types[at] = type;
    this.#codes[at] = reasonCode;
    this.#ids[at] = packetId;
    this.#positions[at] = position;
  }

  /** Sends those that are due. */
  send(
    safePosition: number,
    encoder: { ack(type: AckType, packetId: number, reasonCode: number): void },
  ): void {
    const mask = this.#types.length - 1;
    while (this.length > 0 && this.#positions[this.#first]! <= safePosition) {
      const at = this.#first;
      if (this.#types[at] === PUBACK) this.pubacks--;
      encoder.ack(this.#types[at]! as AckType, this.#ids[at]!, this.#codes[at]!);
      this.#first = at + 1 & mask;
      this.length--;
    }
  }

  clear(): void {
    this.length = this.pubacks = 0;
  }

  #grow(): void {
    const size = this.#types.length;
    const next = Math.max(FIRST_SIZE, size * 2);
    const copy = <T extends Uint8Array | Uint16Array | Float64Array>(from: T, to: T): T => {
      for (let i = 0; i < size; i++) to[i] = from[this.#first + i & size - 1]!;
      return to;
    };
    this.#types = copy(this.#types, new Uint8Array(next));
    this.#codes = copy(this.#codes, new Uint8Array(next));
    this.#ids = copy(this.#ids, new Uint16Array(next));
    this.#positions = copy(this.#positions, new Float64Array(next));
    this.#first = 0;
  }
}
