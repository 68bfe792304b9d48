/**
 * A value in a field table (AMQP 0-9-1, 4.2.5.5). The types on the wire are those of RabbitMQ, whose letters differ from
 * the standard: https://www.rabbitmq.com/amqp-0-9-1-errata. Encoding a decoded value produces the same bytes:
 *
 * | letter | on the wire | in JavaScript |
 * |---|---|---|
 * | `t` | boolean | boolean |
 * | `I` | signed 32 | number: an integer of that range |
 * | `l` | signed 64 | bigint; integers beyond 32 bits are encoded as this type, too |
 * | `d` | double | number: all others; `TypedNumber` for integers |
 * | `S` | text, 32-bit length | string; text.ts describes malformed UTF-8 |
 * | `x` | bytes, 32-bit length | Uint8Array |
 * | `A` `F` | array, table | array, object without prototype |
 * | `V` | nothing | null |
 * | `T` | seconds, unsigned 64 | `Timestamp` |
 * | `D` | scale, signed 32 | `Decimal` |
 * | `b` `B` `s` `u` `i` `f` | signed and unsigned 8, 16, unsigned 32, float | `TypedNumber` |
 * | `U` `L` | signed 16 and 64, the standard's letters | `TypedNumber` |
 *
 * Exceptions, which are encoded differently: a boolean other than 0 and 1, the payload of a NaN, a repeated name (the
 * first one counts, as in RabbitMQ), and names that are array indices, which objects put first.
 */
export type FieldValue =
  | boolean
  | number
  | bigint
  | string
  | null
  | Uint8Array
  | Timestamp
  | Decimal
  | TypedNumber
  | FieldValue[]
  | FieldTable;

/** A field table: headers of a message, arguments of a declaration, properties of a peer. */
export interface FieldTable {
  /** A field. */
  [name: string]: FieldValue;
}

/** The ranges of the integer types. */
const RANGES = {
  b: [-0x80, 0x7f],
  B: [0, 0xff],
  s: [-0x8000, 0x7fff],
  U: [-0x8000, 0x7fff],
  u: [0, 0xffff],
  i: [0, 0xffffffff],
} as const;

/** The letters of the numeric types that need a `TypedNumber`. */
export type NumberLetter = "b" | "B" | "s" | "U" | "u" | "i" | "L" | "f" | "d";

/**
 * A number with a specific type on the wire.
 *
 * @example An 8-bit unsigned header
 * ```ts
 * import { type FieldTable, TypedNumber } from "@mqcat/mqcat";
 *
 * const headers: FieldTable = { level: new TypedNumber("B", 7) };
 * console.log(Number(headers.level)); // 7
 * ```
 */
export class TypedNumber {
  /** The letter of the type. */
  readonly letter: NumberLetter;
  /** The value: a bigint for `L`, a number for all other types. */
  readonly value: number | bigint;

  /**
   * Makes a typed number.
   *
   * @param letter the letter of the type
   * @param value the value; rounded to a 32-bit float for `f`
   * @throws {RangeError} the value is out of the range of the type
   */
  constructor(letter: NumberLetter, value: number | bigint) {
    this.letter = letter;
    if (letter === "L") this.value = BigInt(value);
    else this.value = letter === "f" ? Math.fround(Number(value)) : Number(value);
    if (
      letter === "L"
        ? !isInt64(this.value as bigint)
        : letter !== "f" && letter !== "d" && !this.#fits(letter)
    ) {
      throw new RangeError(
        `Cannot make a number of type '${letter}' as it is out of range: received ${value}`,
      );
    }
  }

  #fits(letter: keyof typeof RANGES): boolean {
    const [min, max] = RANGES[letter];
    return Number.isInteger(this.value) && this.value >= min && this.value <= max;
  }

  /** Returns the value, so that the object works in arithmetic. */
  valueOf(): number | bigint {
    return this.value;
  }
}

/**
 * A point in time, in seconds since 1970 (4.2.5.4). Some peers send milliseconds.
 *
 * @example A header with the current time
 * ```ts
 * import { type FieldTable, Timestamp } from "@mqcat/mqcat";
 *
 * const headers: FieldTable = { sent: new Timestamp(Math.floor(Date.now() / 1000)) };
 * console.log(new Date(Number(headers.sent) * 1000));
 * ```
 */
export class Timestamp {
  /** Seconds since 1970; a bigint beyond 2^53. */
  readonly seconds: number | bigint;

  /**
   * Makes a timestamp.
   *
   * @param seconds seconds since 1970
   * @throws {RangeError} `seconds` is not an unsigned 64-bit integer
   */
  constructor(seconds: number | bigint) {
    this.seconds = checkSeconds(seconds, "timestamp");
  }

  /** Returns the seconds, so that the object works in arithmetic. */
  valueOf(): number | bigint {
    return this.seconds;
  }
}

/**
 * A decimal number: `value / 10 ** scale`.
 *
 * @example A price
 * ```ts
 * import { Decimal } from "@mqcat/mqcat";
 *
 * console.log(Number(new Decimal(2, 1999))); // 19.99
 * ```
 */
export class Decimal {
  /** The number of digits after the decimal point, 0 to 255. */
  readonly scale: number;
  /** The digits as a signed 32-bit integer. */
  readonly value: number;

  /**
   * Makes a decimal number.
   *
   * @param scale the number of digits after the decimal point, 0 to 255
   * @param value the digits, a signed 32-bit integer
   * @throws {RangeError} a part is out of its range
   */
  constructor(scale: number, value: number) {
    if ((scale & 0xff) !== scale || (value | 0) !== value) {
      throw new RangeError(
        `Cannot make a decimal as it must have a scale of 8 bits and a value of 32: received ${scale}, ${value}`,
      );
    }
    this.scale = scale;
    this.value = value;
  }

  /** Returns the number, so that the object works in arithmetic. */
  valueOf(): number {
    return this.value / 10 ** this.scale;
  }
}

/**
 * Returns the integer in a field of any integer type, rounded beyond 2^53; undefined for other values. It reads
 * arguments such as `x-message-ttl`, for which clients use various integer types.
 */
export function integerOf(value: FieldValue | undefined): number | undefined {
  if (value instanceof TypedNumber) {
    return value.letter === "f" || value.letter === "d" ? undefined : Number(value.value);
  }
  if (typeof value === "bigint") return Number(value);
  return Number.isInteger(value) ? value as number : undefined;
}

/** Whether a bigint fits a signed 64-bit integer. */
export function isInt64(value: bigint): boolean {
  return BigInt.asIntN(64, value) === value;
}

/**
 * Returns seconds as a number if that is exact, else as a bigint.
 *
 * @throws {RangeError} `seconds` is not an unsigned 64-bit integer
 */
export function checkSeconds(seconds: number | bigint, name: string): number | bigint {
  if (typeof seconds === "bigint") {
    if (BigInt.asUintN(64, seconds) === seconds) return narrow(seconds);
  } else if (Number.isSafeInteger(seconds) && seconds >= 0) return seconds + 0;
  throw new RangeError(
    `Cannot encode '${name}' as it must be an unsigned 64-bit integer: received ${seconds}`,
  );
}

/** Returns a bigint as a number if that is exact. */
export function narrow(value: bigint): number | bigint {
  return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}
