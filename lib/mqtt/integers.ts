/** Integers in network byte order, variable byte integers, and binary data (MQTT 5.0, 1.5.2, 1.5.3, 1.5.5, 1.5.6). */
/** Returns the size of a variable byte integer, in bytes (MQTT 5.0, 1.5.5). */
export function sizeofVariable(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4;
}

/** Writes a variable byte integer of at most 268 435 455, and returns the position after it. */
export function writeVariable(target: Uint8Array, at: number, value: number): number {
  while (value >= 0x80) {
    target[at++] = value & 0x7f | 0x80;
    value >>>= 7;
  }
  target[at] = value;
  return at + 1;
}

export function writeTwo(target: Uint8Array, at: number, value: number): number {
  target[at] = value >>> 8;
  target[at + 1] = value;
  return at + 2;
}

export function readTwo(bytes: Uint8Array, at: number): number {
  return bytes[at]! << 8 | bytes[at + 1]!;
}

export function readFour(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!) >>> 0;
}

/** Copies `bytes[start, end)`. A `Buffer` of Node would return a view from `slice`. */
export function copyOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes.subarray(start, end));
}
