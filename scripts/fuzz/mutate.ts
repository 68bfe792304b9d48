/** Inputs for the fuzzer: valid bytes with random, reproducible changes. */

/** Numbers that parsers often handle wrongly. */
const EDGES = [0, 1, 2, 4, 5, 7, 8, 0x0a, 0x20, 0x7f, 0x80, 0xfe, 0xff];
const WIDE_EDGES = [
  0n,
  1n,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  1n << 53n,
  (1n << 63n) - 1n,
  1n << 63n,
  (1n << 64n) - 1n,
];
/** The longest input in bytes; longer ones find nothing new. */
const MAX_LENGTH = 100_000;

/** A generator of random numbers, which are the same for the same seed (mulberry32). */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer from 0 to `below` - 1. */
  below(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor(((t ^ (t >>> 14)) >>> 0) / 2 ** 32 * below);
  }

  /** A random item of a list. */
  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}

/** Changes `bytes` in one to four ways; `others` are inputs to splice in. */
export function mutate(bytes: Uint8Array, others: readonly Uint8Array[], chance: Chance): Uint8Array {
  let spoiled: Uint8Array = bytes.slice();
  for (let left = 1 + chance.below(4); left > 0; left--) spoiled = once(spoiled, others, chance);
  return spoiled.subarray(0, MAX_LENGTH);
}

function once(bytes: Uint8Array, others: readonly Uint8Array[], chance: Chance): Uint8Array {
  const at = chance.below(bytes.length + 1);
  const length = Math.min(chance.of([1, 1, 2, 4, 8, 32, 300]), bytes.length - at);
  switch (chance.below(9)) {
    case 0: // Flip a bit.
      if (at < bytes.length) bytes[at]! ^= 1 << chance.below(8);
      return bytes;
    case 1:
      if (at < bytes.length) bytes[at] = chance.below(256);
      return bytes;
    case 2:
      if (at < bytes.length) bytes[at] = chance.of(EDGES);
      return bytes;
    case 3: { // A length of 32 or 64 bits.
      const size = chance.of([4, 8]);
      if (at + size > bytes.length) return bytes;
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      const value = chance.of(WIDE_EDGES);
      if (size === 4) view.setUint32(at, Number(value & 0xffffffffn));
      else view.setBigUint64(at, value);
      return bytes;
    }
    case 4: // Cut it off.
      return bytes.slice(0, at);
    case 5: // Remove a piece.
      return join(bytes.subarray(0, at), bytes.subarray(at + length));
    case 6: // Repeat a piece.
      return join(bytes.subarray(0, at + length), bytes.subarray(at));
    case 7: { // Insert random bytes.
      const noise = Uint8Array.from({ length: 1 + chance.below(16) }, () => chance.below(256));
      return join(bytes.subarray(0, at), noise, bytes.subarray(at));
    }
    default: { // Continue with another input.
      const other = chance.of(others);
      return join(bytes.subarray(0, at), other.subarray(chance.below(other.length + 1)));
    }
  }
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
