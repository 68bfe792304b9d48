/**
 * Values in field tables (AMQP 0-9-1, 4.2.5.5) as RabbitMQ writes them, which differs from the standard in letters:
 * https://www.rabbitmq.com/amqp-0-9-1-errata. A decoded value is encoded as the same bytes again:
 *
 * | letter | on the wire | here |
 * |---|---|---|
 * | `t` | boolean | boolean |
 * | `I` | signed 32 | number: an integer of that range |
 * | `l` | signed 64 | bigint; numbers that are integers beyond 32 bits are sent as this too |
 * | `d` | double | number: any other one; `TypedNumber` for integers |
 * | `S` | text, 32-bit length | string; see text.ts for what is not UTF-8 |
 * | `x` | bytes, 32-bit length | Uint8Array |
 * | `A` `F` | array, table | array, object without prototype |
 * | `V` | nothing | null |
 * | `T` | seconds, unsigned 64 | `Timestamp` |
 * | `D` | scale, signed 32 | `Decimal` |
 * | `b` `B` `s` `u` `i` `f` | signed and unsigned 8, 16, unsigned 32, float | `TypedNumber` |
 * | `U` `L` | signed 16 and 64: the standard's letters, which are understood | `TypedNumber` |
 *
 * What cannot come back the same: a boolean that is neither 0 nor 1, the payload of a NaN, a name that stands twice
 * (the first one counts, as in RabbitMQ), and the place of names that are array indices, which objects put first.
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
  [name: string]: FieldValue;
}

/** Ranges of the integer types. */
const RANGES = {
  b: [-0x80, 0x7f],
  B: [0, 0xff],
  s: [-0x8000, 0x7fff],
  U: [-0x8000, 0x7fff],
  u: [0, 0xffff],
  i: [0, 0xffffffff],
} as const;

/** Letters of the types that plain numbers and bigints are not sent as. */
export type NumberLetter = keyof typeof RANGES | "L" | "f" | "d";

/** A number whose type on the wire matters. */
export class TypedNumber {
  readonly letter: NumberLetter;
  /** A bigint for `L`, a number for all others. */
  readonly value: number | bigint;

  /** @throws {RangeError} the value is out of the type's range */
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

  valueOf(): number | bigint {
    return this.value;
  }
}

/** A point in time, in seconds since 1970 (4.2.5.4), though some send milliseconds. */
export class Timestamp {
  /** A bigint beyond 2^53 only. */
  readonly seconds: number | bigint;

  /** @throws {RangeError} `seconds` is no 64-bit unsigned integer */
  constructor(seconds: number | bigint) {
    this.seconds = checkSeconds(seconds, "timestamp");
  }

  valueOf(): number | bigint {
    return this.seconds;
  }
}

/** `value / 10 ** scale`. */
export class Decimal {
  /** Digits behind the point, 0 to 255. */
  readonly scale: number;
  /** The digits as a signed 32-bit integer. */
  readonly value: number;

  /** @throws {RangeError} a part is out of its range */
  constructor(scale: number, value: number) {
    if ((scale & 0xff) !== scale || (value | 0) !== value) {
      throw new RangeError(
        `Cannot make a decimal as it must have a scale of 8 bits and a value of 32: received ${scale}, ${value}`,
      );
    }
    this.scale = scale;
    this.value = value;
  }

  valueOf(): number {
    return this.value / 10 ** this.scale;
  }
}

/**
 * The integer in a field of any integer type, rounded beyond 2^53; undefined for everything else. Clients choose
 * these types freely, so arguments such as `x-message-ttl` are read with this.
 */
export function integerOf(value: FieldValue | undefined): number | undefined {
  if (value instanceof TypedNumber) {
    return value.letter === "f" || value.letter === "d" ? undefined : Number(value.value);
  }
  if (typeof value === "bigint") return Number(value);
  return Number.isInteger(value) ? value as number : undefined;
}

export function isInt64(value: bigint): boolean {
  return BigInt.asIntN(64, value) === value;
}

/**
 * Seconds as they are kept: a number where that is exact, else a bigint.
 *
 * @throws {RangeError} `seconds` is no 64-bit unsigned integer
 */
export function checkSeconds(seconds: number | bigint, name: string): number | bigint {
  if (typeof seconds === "bigint") {
    if (BigInt.asUintN(64, seconds) === seconds) return narrow(seconds);
  } else if (Number.isSafeInteger(seconds) && seconds >= 0) return seconds + 0;
  throw new RangeError(
    `Cannot encode '${name}' as it must be an unsigned 64-bit integer: received ${seconds}`,
  );
}

/** A bigint as a number where that is exact. */
export function narrow(value: bigint): number | bigint {
  return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}
