import { MAX_DEPTH } from "./codec.ts";
import { Decimal, type FieldTable, type FieldValue, isInt64, Timestamp, TypedNumber } from "./field_value.ts";
import { writeBig64, writeDouble, writeFloat } from "./numbers.ts";
import { shortstr, writeShortString } from "./scalars.ts";
import { textLength, writeText } from "../../bytes/text.ts";
import { writeUint16, writeUint32 } from "./uint.ts";

/**
 * Returns the size of the content of a table, in bytes.
 *
 * @param name the name of its field, for the error
 * @param depth the nesting depth, including this table
 * @throws {RangeError} a name, a number or the nesting exceeds its limit
 * @throws {TypeError} no field type fits a value
 */
export function sizeofTable(value: FieldTable, name: string, depth: number): number {
  checkDepth(name, depth);
  let size = 0;
  for (const key of Object.keys(value)) {
    size += shortstr.sizeof(key, key) + sizeofValue(value[key]!, key, depth);
  }
  return size;
}

/** Returns the size of a letter and a value, in bytes. */
function sizeofValue(value: FieldValue, name: string, depth: number): number {
  switch (typeof value) {
    case "string":
      return 5 + textLength(value);
    case "number":
      return value === (value | 0) && !Object.is(value, -0) ? 5 : 9;
    case "boolean":
      return 2;
    case "bigint":
      if (isInt64(value)) return 9;
      throw new RangeError(`Cannot encode '${name}' as it must have 64 bits: received ${value}`);
  }
  if (value === null) return 1;
  if (value instanceof Uint8Array) return 5 + value.length;
  if (Array.isArray(value)) {
    checkDepth(name, depth + 1);
    let size = 5;
    for (const item of value) size += sizeofValue(item, name, depth + 1);
    return size;
  }
  if (value instanceof TypedNumber) return 1 + SIZES[value.letter];
  if (value instanceof Timestamp) return 9;
  if (value instanceof Decimal) return 6;
  const prototype = typeof value === "object" ? Object.getPrototypeOf(value) : undefined;
  if (prototype === null || prototype === Object.prototype) {
    return 5 + sizeofTable(value as FieldTable, name, depth + 1);
  }
  throw new TypeError(`Cannot encode '${name}' as no type of field fits it: received ${String(value)}`);
}

const SIZES = { b: 1, B: 1, s: 2, U: 2, u: 2, i: 4, f: 4, L: 8, d: 8 } as const;

function checkDepth(name: string, depth: number): void {
  if (depth <= MAX_DEPTH) return;
  throw new RangeError(`Cannot encode '${name}' as tables may be nested ${MAX_DEPTH} deep`);
}

/** Writes a table with its length, and returns the position after it. */
export function writeTable(value: FieldTable, target: Uint8Array, at: number): number {
  let end = at + 4;
  for (const key of Object.keys(value)) {
    end = writeValue(value[key]!, target, writeShortString(key, target, end));
  }
  writeUint32(target, at, end - at - 4);
  return end;
}

function writeValue(value: FieldValue, target: Uint8Array, at: number): number {
  const body = at + 1;
  switch (typeof value) {
    case "string": {
      target[at] = 0x53; // S
      const end = writeText(value, target, body + 4);
      writeUint32(target, body, end - body - 4);
      return end;
    }
    case "number":
      if (value === (value | 0) && !Object.is(value, -0)) {
        target[at] = 0x49; // I
        return writeUint32(target, body, value);
      }
      if (Number.isSafeInteger(value) && value !== 0) return writeInt64(target, at, BigInt(value));
      target[at] = 0x64; // d
      return writeDouble(target, body, value);
    case "boolean":
      target[at] = 0x74; // t
      target[body] = value ? 1 : 0;
      return body + 1;
    case "bigint":
      return writeInt64(target, at, value);
  }
  if (value === null) {
    target[at] = 0x56; // V
    return body;
  }
  if (value instanceof Uint8Array) {
    target[at] = 0x78; // x
    target.set(value, writeUint32(target, body, value.length));
    return body + 4 + value.length;
  }
  if (Array.isArray(value)) {
    target[at] = 0x41; // A
    let end = body + 4;
    for (const item of value) end = writeValue(item, target, end);
    writeUint32(target, body, end - body - 4);
    return end;
  }
  if (value instanceof TypedNumber) return writeTyped(value, target, at);
  if (value instanceof Timestamp) {
    target[at] = 0x54; // T
    return writeBig64(target, body, BigInt(value.seconds));
  }
  if (value instanceof Decimal) {
    target[at] = 0x44; // D
    target[body] = value.scale;
    return writeUint32(target, body + 1, value.value);
  }
  target[at] = 0x46; // F
  return writeTable(value, target, body);
}

function writeInt64(target: Uint8Array, at: number, value: bigint): number {
  target[at] = 0x6c; // l
  return writeBig64(target, at + 1, value);
}

function writeTyped({ letter, value }: TypedNumber, target: Uint8Array, at: number): number {
  target[at++] = letter.charCodeAt(0);
  if (typeof value === "bigint") return writeBig64(target, at, value);
  switch (letter) {
    case "d":
      return writeDouble(target, at, value);
    case "f":
      return writeFloat(target, at, value);
    case "i":
      return writeUint32(target, at, value);
    case "s":
    case "U":
    case "u":
      return writeUint16(target, at, value);
    default:
      target[at] = value;
      return at + 1;
  }
}
