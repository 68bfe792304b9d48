import crypto from "node:crypto";

/** The number of digits of a request's number. */
const DIGITS = 12;
const ZERO = 0x30;

/**
 * The correlation ids of one requester: a random prefix, and the number of the request with a fixed number of digits, so
 * that an id can be written over another one.
 */
export class Correlation {
  /** The id of request 0. */
  readonly first: string = `${crypto.randomBytes(8).toString("hex")}-${"0".repeat(DIGITS)}`;

  readonly #prefix: Uint8Array = new TextEncoder().encode(this.first.slice(0, -DIGITS));

  /** Writes the number of a request over the digits of an id that is at `at`. */
  write(number: number, target: Uint8Array, at: number): void {
    const first = at + this.#prefix.length;
    for (let i = first + DIGITS - 1; i >= first; i--) {
      const rest = Math.floor(number / 10);
      target[i] = ZERO + number - rest * 10;
      number = rest;
    }
  }

  /** The number in the id at `bytes[start, end)`; 0 if it is not an id of this requester. */
  read(bytes: Uint8Array, start: number, end: number): number {
    const prefix = this.#prefix;
    if (end - start !== prefix.length + DIGITS) return 0;
    for (let i = 0; i < prefix.length; i++) if (bytes[start + i] !== prefix[i]) return 0;
    let number = 0;
    for (let i = start + prefix.length; i < end; i++) {
      const digit = bytes[i]! - ZERO;
      if (digit < 0 || digit > 9) return 0;
      number = number * 10 + digit;
    }
    return number;
  }
}
