import type { Codec } from "./codec.ts";
import { readName } from "../../bytes/text_cache.ts";
import { textLength, writeText } from "../../bytes/text.ts";
import { checkUint, checkUint64, writeUint16, writeUint32, writeUint64 } from "./uint.ts";

/** The types of method arguments besides bits and tables (AMQP 0-9-1, 4.2.5). */

export const octet: Codec<number> = {
  zero: 0,
  sizeof(value, name) {
    checkUint(value, 0xff, name);
    return 1;
  },
  encode(value, target, at) {
    target[at] = value;
    return at + 1;
  },
  decode: (reader) => reader.octet(),
};

export const short: Codec<number> = {
  zero: 0,
  sizeof(value, name) {
    checkUint(value, 0xffff, name);
    return 2;
  },
  encode: (value, target, at) => writeUint16(target, at, value),
  decode: (reader) => reader.short(),
};

export const long: Codec<number> = {
  zero: 0,
  sizeof(value, name) {
    checkUint(value, 0xffffffff, name);
    return 4;
  },
  encode: (value, target, at) => writeUint32(target, at, value),
  decode: (reader) => reader.long(),
};

/** A delivery tag: a number, rounded beyond 2^53, which no server reaches. */
export const longlong: Codec<number> = {
  zero: 0,
  sizeof(value, name) {
    checkUint64(value, name);
    return 8;
  },
  encode: (value, target, at) => writeUint64(target, at, value),
  decode: (reader) => reader.longlong(),
};

/** At most 255 bytes of text (4.2.5.3). */
export const shortstr: Codec<string> = {
  zero: "",
  sizeof(value, name) {
    const length = textLength(value);
    if (length > 255) throw tooLong(name, length);
    return 1 + length;
  },
  encode: writeShortString,
  decode(reader) {
    const length = reader.octet();
    const start = reader.skip(length);
    return readName(reader.bytes, start, start + length);
  },
};

/** Up to 2^32-1 bytes (4.2.5.3); decoded into a copy. */
export const longstr: Codec<Uint8Array> = {
  zero: new Uint8Array(0),
  sizeof: (value) => 4 + value.length,
  encode(value, target, at) {
    target.set(value, writeUint32(target, at, value.length));
    return at + 4 + value.length;
  },
  decode: (reader) => reader.take(reader.long()),
};

/**
 * Writes a short string of unknown encoded size.
 *
 * @param target a buffer with room for 1 byte and 3 bytes per UTF-16 unit at `at`
 * @returns the position after the last byte
 * @throws {RangeError} the text has more than 255 bytes
 */
export function writeShortString(value: string, target: Uint8Array, at: number): number {
  const end = writeText(value, target, at + 1);
  if (end - at > 256) throw tooLong("a short string", end - at - 1);
  target[at] = end - at - 1;
  return end;
}

function tooLong(name: string, length: number): RangeError {
  return new RangeError(
    `Cannot encode '${name}' as a short string may have 255 bytes: received ${length}`,
  );
}
