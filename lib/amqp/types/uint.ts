/** Unsigned integers in network byte order (AMQP 0-9-1, 4.2.5.1). */

export function readUint32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!) >>> 0;
}

/** Reads an unsigned 64-bit integer, rounded beyond 2^53, which exceeds every limit and every delivery tag. */
export function readUint64(bytes: Uint8Array, at: number): number {
  return readUint32(bytes, at) * 0x100000000 + readUint32(bytes, at + 4);
}

export function writeUint16(target: Uint8Array, at: number, value: number): number {
  target[at] = value >>> 8;
  target[at + 1] = value;
  return at + 2;
}

export function writeUint32(target: Uint8Array, at: number, value: number): number {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
  return at + 4;
}

export function writeUint64(target: Uint8Array, at: number, value: number): number {
  // Most values are small, and a division of doubles is slow.
  if (value <= 0xffffffff) {
    target[at] =
      target[at + 1] =
      target[at + 2] =
      target[at + 3] =
        0;
  } else writeUint32(target, at, Math.floor(value / 0x100000000));
  return writeUint32(target, at + 4, value);
}

/** The largest double below 2^64. */
const MAX_UINT64 = 2 ** 64 - 2 ** 11;

/** @throws {RangeError} `value` is not an integer from 0 to `max` */
export function checkUint(value: number, max: number, name: string): void {
  if (Number.isInteger(value) && value >= 0 && value <= max) return;
  throw new RangeError(
    `Cannot encode '${name}' as it must be an integer from 0 to ${max}: received ${value}`,
  );
}

/** @throws {RangeError} `value` is not an unsigned 64-bit integer */
export function checkUint64(value: number, name: string): void {
  checkUint(value, MAX_UINT64, name);
}
