import { frameError } from "../amqp_error.ts";
import { readUint32, readUint64 } from "./uint.ts";

/** The maximum nesting depth of tables and arrays, including the outermost one. */
export const MAX_DEPTH = 256;

/** Encodes and decodes one type of field (AMQP 0-9-1, 4.2.5). */
export interface Codec<T> {
  /** The value of an omitted argument. */
  readonly zero: T;
  /**
   * Returns the exact size of `value`, in bytes.
   *
   * @param name the name of the field, for the error
   * @throws {RangeError | TypeError} the value does not fit the type
   */
  sizeof(value: T, name: string): number;
  /** Writes a value that `sizeof` accepted, and returns the position after it. */
  encode(value: T, target: Uint8Array, at: number): number;
  /**
   * Reads a value.
   *
   * @throws {AmqpError} 501: the bytes are truncated or malformed
   */
  decode(reader: Reader): T;
}

/** A position in a range of bytes, which never exceeds the end of the range. */
export class Reader {
  readonly bytes: Uint8Array;
  at: number;
  end: number;
  /** The current nesting depth of tables and arrays. */
  depth = 0;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  /**
   * Advances by `count` bytes, and returns the position before them.
   *
   * @throws {AmqpError} 501: fewer bytes are left
   */
  skip(count: number): number {
    const start = this.at;
    if (count > this.end - start) {
      throw frameError(`a field needs ${count} bytes, but ${this.end - start} are left`);
    }
    this.at = start + count;
    return start;
  }

  octet(): number {
    return this.bytes[this.skip(1)]!;
  }

  short(): number {
    const at = this.skip(2);
    return this.bytes[at]! << 8 | this.bytes[at + 1]!;
  }

  long(): number {
    return readUint32(this.bytes, this.skip(4));
  }

  /** Reads an unsigned 64-bit integer, rounded beyond 2^53. */
  longlong(): number {
    return readUint64(this.bytes, this.skip(8));
  }

  /** Returns a copy of the next bytes. */
  take(count: number): Uint8Array {
    const start = this.skip(count);
    return this.bytes.slice(start, start + count);
  }
}
