import { frameError } from "../amqp_error.ts";
import { MAX_DEPTH, type Reader } from "./codec.ts";
import { Decimal, type FieldTable, type FieldValue, narrow, Timestamp, TypedNumber } from "./field_value.ts";
import { readBigUint64, readDouble, readFloat, readInt64 } from "./numbers.ts";
import { readText } from "../../bytes/text.ts";
import { readName } from "../../bytes/text_cache.ts";

/**
 * Reads a table with its length.
 *
 * @throws {AmqpError} 501: malformed, or nested too deeply
 */
export function readTable(reader: Reader): FieldTable {
  const outer = enter(reader);
  const fields = readFields(reader);
  leave(reader, outer);
  return fields;
}

/** Reads the content of a table, up to the end of the reader. */
export function readFields(reader: Reader): FieldTable {
  const fields: FieldTable = Object.create(null);
  while (reader.at < reader.end) {
    const length = reader.octet();
    const start = reader.skip(length);
    const name = readName(reader.bytes, start, start + length);
    const value = readValue(reader);
    if (!(name in fields)) fields[name] = value;
  }
  return fields;
}

function readArray(reader: Reader): FieldValue[] {
  const outer = enter(reader);
  const items: FieldValue[] = [];
  while (reader.at < reader.end) items.push(readValue(reader));
  leave(reader, outer);
  return items;
}

/** Reads a length, and moves the end of the reader there. Returns the previous end. */
function enter(reader: Reader): number {
  const length = reader.long();
  const outer = reader.end;
  reader.end = reader.skip(length) + length;
  reader.at -= length;
  if (++reader.depth > MAX_DEPTH) throw frameError(`tables are nested more than ${MAX_DEPTH} deep`);
  return outer;
}

function leave(reader: Reader, outer: number): void {
  reader.depth--;
  reader.end = outer;
}

function readValue(reader: Reader): FieldValue {
  const { bytes } = reader;
  const letter = reader.octet();
  switch (letter) {
    case 0x53: { // S
      const length = reader.long();
      const start = reader.skip(length);
      return readText(bytes, start, start + length);
    }
    case 0x49: // I
      return reader.long() | 0;
    case 0x6c: // l
      return readInt64(bytes, reader.skip(8));
    case 0x74: // t
      return reader.octet() !== 0;
    case 0x46: // F
      return readTable(reader);
    case 0x41: // A
      return readArray(reader);
    case 0x54: // T
      return new Timestamp(narrow(readBigUint64(bytes, reader.skip(8))));
    case 0x64: { // d
      const value = readDouble(bytes, reader.skip(8));
      // A double that a plain number would encode as an integer keeps its type.
      return Number.isSafeInteger(value) && !Object.is(value, -0) ? new TypedNumber("d", value) : value;
    }
    case 0x78: // x
      return reader.take(reader.long());
    case 0x56: // V
      return null;
    case 0x44: // D
      return new Decimal(reader.octet(), reader.long() | 0);
    case 0x62: // b
      return new TypedNumber("b", reader.octet() << 24 >> 24);
    case 0x42: // B
      return new TypedNumber("B", reader.octet());
    case 0x73: // s
      return new TypedNumber("s", reader.short() << 16 >> 16);
    case 0x55: // U
      return new TypedNumber("U", reader.short() << 16 >> 16);
    case 0x75: // u
      return new TypedNumber("u", reader.short());
    case 0x69: // i
      return new TypedNumber("i", reader.long());
    case 0x66: // f
      return new TypedNumber("f", readFloat(bytes, reader.skip(4)));
    case 0x4c: // L
      return new TypedNumber("L", readInt64(bytes, reader.skip(8)));
  }
  throw frameError(`a field has the unknown type 0x${letter.toString(16).padStart(2, "0")}`);
}
