/** The message was not settled. */
const OPEN = 0;
/** The acknowledgement is due when all messages before it are settled. */
const DUE = 1;
/** Nothing is sent for it: it stays unacknowledged, or needs no acknowledgement. */
const SILENT = 2;

const FIRST_SIZE = 64;

/**
 * Received messages that are not settled, in the order of arrival: acknowledgements must be sent in it [MQTT-4.6.0-2]. A
 * ring of parallel arrays, without an object for each message. Messages are numbered from 1.
 */
export class PendingAcks {
  /** The number of the first message in the ring. */
  #first = 1;
  #length = 0;
  #ids = new Uint16Array(FIRST_SIZE);
  #qos = new Uint8Array(FIRST_SIZE);
  #states = new Uint8Array(FIRST_SIZE);
  #codes = new Uint8Array(FIRST_SIZE);

  /** Adds a message. @returns its number */
  add(packetId: number, qos: number): number {
    if (this.#length === this.#ids.length) this.#grow();
    const number = this.#first + this.#length++;
    const at = number & this.#ids.length - 1;
    this.#ids[at] = packetId;
    this.#qos[at] = qos;
    this.#states[at] = qos === 0 ? SILENT : OPEN;
    return number;
  }

  /** Settles a message, or all up to it. @param code the reason code */
  settle(number: number, multiple: boolean, code: number): void {
    for (let one = multiple ? this.#first : number; one <= number; one++) this.#set(one, DUE, code);
  }

  /** Leaves a message unacknowledged: the server delivers it again if the session continues on another connection. */
  leave(number: number): void {
    this.#set(number, SILENT, 0);
  }

  /** Sends the acknowledgements that are due. */
  send(acknowledge: (packetId: number, qos: number, code: number) => void): void {
    while (this.#length > 0) {
      const at = this.#first & this.#ids.length - 1;
      if (this.#states[at] === OPEN) return;
      if (this.#states[at] === DUE) acknowledge(this.#ids[at]!, this.#qos[at]!, this.#codes[at]!);
      this.#first++;
      this.#length--;
    }
  }

  #set(number: number, state: number, code: number): void {
    if (number < this.#first || number >= this.#first + this.#length) return;
    const at = number & this.#ids.length - 1;
    if (this.#states[at] !== OPEN) return;
    this.#states[at] = state;
    this.#codes[at] = code;
  }

  #grow(): void {
    const size = this.#ids.length;
    const move = <T extends Uint8Array | Uint16Array>(from: T, to: T): T => {
      for (let number = this.#first; number < this.#first + this.#length; number++) {
        to[number & size * 2 - 1] = from[number & size - 1]!;
      }
      return to;
    };
    this.#ids = move(this.#ids, new Uint16Array(size * 2));
    this.#qos = move(this.#qos, new Uint8Array(size * 2));
    this.#states = move(this.#states, new Uint8Array(size * 2));
    this.#codes = move(this.#codes, new Uint8Array(size * 2));
  }
}
