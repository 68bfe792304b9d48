import { frameError } from "../amqp_error.ts";
import { readUint32, readUint64 } from "./uint.ts";

/** How deep tables and arrays may be nested, the outermost one counted. */
export const MAX_DEPTH = 32;

/** How one type of field stands on the wire (AMQP 0-9-1, 4.2.5). */
export interface Codec<T> {
  /** What an argument has that was left out. */
  readonly zero: T;
  /**
   * The exact number of bytes of `value`.
   *
   * @param name of the field, for the error
   * @throws {RangeError | TypeError} the value does not fit the type
   */
  sizeof(value: T, name: string): number;
  /** Writes a value that `sizeof` took, and returns the position behind it. */
  encode(value: T, target: Uint8Array, at: number): number;
  /** @throws {AmqpError} 501: the bytes end early, or are no such value */
  decode(reader: Reader): T;
}

/** A position in a run of bytes that never goes over its end. */
export class Reader {
  readonly bytes: Uint8Array;
  at: number;
  end: number;
  /** How many tables and arrays are open. */
  depth = 0;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  /**
   * Goes on by `count` bytes and returns where they begin.
   *
   * @throws {AmqpError} 501: there are not as many
   */
  skip(count: number): number {
    const start = this.at;
    if (count > this.end - start) {
      throw frameError(`a field of ${count} bytes has ${this.end - start} left`);
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

  /** Rounded beyond 2^53. */
  longlong(): number {
    return readUint64(this.bytes, this.skip(8));
  }

  /** A copy of the next bytes. */
  take(count: number): Uint8Array {
    const start = this.skip(count);
    return this.bytes.slice(start, start + count);
  }
}
