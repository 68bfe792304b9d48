import { type Codec, Reader } from "./codec.ts";
import { readFields, readTable } from "./field_reader.ts";
import type { FieldTable } from "./field_value.ts";
import { sizeofTable, writeTable } from "./field_writer.ts";

/** Field tables (AMQP 0-9-1, 4.2.5.5): 32-bit length, then names as short strings, each with a letter and a value. */
export const table: Codec<FieldTable> = {
  zero: Object.freeze(Object.create(null)),
  sizeof: (value, name) => 4 + sizeofTable(value, name, 1),
  encode: writeTable,
  decode: readTable,
};

/** Returns the size of a table and its length, in bytes. */
export function encodeTable(value: FieldTable): Uint8Array {
  const bytes = new Uint8Array(table.sizeof(value, "table"));
  writeTable(value, bytes, 0);
  return bytes;
}

/**
 * Decodes a table that begins with its length.
 *
 * @throws {AmqpError} 501: malformed, or nested deeper than `MAX_DEPTH`
 */
export function decodeTable(bytes: Uint8Array, start = 0, end: number = bytes.length): FieldTable {
  return readTable(new Reader(bytes, start, end));
}

/**
 * Decodes a table without its length, as in the response of the mechanism AMQPLAIN.
 *
 * @throws {AmqpError} 501: malformed, or nested deeper than `MAX_DEPTH`
 */
export function decodeTableContent(bytes: Uint8Array, start = 0, end: number = bytes.length): FieldTable {
  return readFields(new Reader(bytes, start, end));
}
