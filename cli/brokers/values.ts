/** Converts field tables to JSON and back: a type that JSON does not have is an object with one member `$…`. */
import { Buffer } from "node:buffer";
import {
  Decimal,
  type FieldTable,
  type FieldValue,
  type NumberLetter,
  Timestamp,
  TypedNumber,
} from "../../lib/amqp/types/field_value.ts";
import { readText, textLength, writeText } from "../../lib/bytes/text.ts";
import { RecordError } from "../records/json.ts";

/** A JSON value. */
export type FieldJson = string | number | boolean | null | FieldJson[] | { [name: string]: FieldJson };

/** Converts a value to JSON; `fromJson` converts it back without loss. */
export function toJson(value: FieldValue): FieldJson {
  if (typeof value === "string") return textToJson(value);
  if (typeof value === "number") {
    return isPlain(value) ? value : { $d: String(Object.is(value, -0) ? "-0" : value) };
  }
  if (typeof value === "bigint") return { $l: String(value) };
  if (value === null || typeof value === "boolean") return value;
  if (value instanceof Uint8Array) return { $bytes: base64(value) };
  if (value instanceof Timestamp) return { $time: String(value.seconds) };
  if (value instanceof Decimal) return { $decimal: [value.scale, value.value] };
  if (value instanceof TypedNumber) {
    return { [`$${value.letter}`]: Object.is(value.value, -0) ? "-0" : String(value.value) };
  }
  if (Array.isArray(value)) return value.map(toJson);
  const table = tableToJson(value);
  const names = Object.keys(value);
  return names.length === 1 && names[0]!.startsWith("$") ? { $table: table } : table;
}

/** Converts a table to JSON. */
export function tableToJson(table: FieldTable): { [name: string]: FieldJson } {
  return Object.fromEntries(Object.entries(table).map(([name, value]) => [nameToJson(name), toJson(value)]));
}

/** @throws {RecordError} it does not represent a value */
export function fromJson(json: FieldJson): FieldValue {
  if (typeof json === "string") return wellFormed(json);
  if (typeof json === "boolean" || json === null) return json;
  if (typeof json === "number") {
    // Integers beyond 32 bits are sent with 64; beyond 2^53 JSON.parse has rounded them already.
    if (Number.isInteger(json) && !Number.isSafeInteger(json) || !Number.isFinite(json)) {
      throw new RecordError(
        `a number of a header is beyond 2^53, where JSON rounds: use {"$l":"…"} or {"$d":"…"}`,
      );
    }
    return json;
  }
  if (Array.isArray(json)) return json.map(fromJson);
  const names = Object.keys(json);
  const name = names[0];
  if (names.length !== 1 || !name!.startsWith("$")) return tableFromJson(json);
  return special(name!.slice(1), json[name!]!);
}

/** @throws {RecordError} a member does not represent a value */
export function tableFromJson(json: { [name: string]: FieldJson }): FieldTable {
  return Object.fromEntries(
    Object.entries(json).map(([name, value]) => [nameFromJson(name), fromJson(value)]),
  );
}

/** Text that is not UTF-8 has bytes that JSON cannot represent. */
export function textToJson(text: string): FieldJson {
  return text.isWellFormed() ? text : { $text: base64(bytesOfText(text)) };
}

function special(kind: string, value: FieldJson): FieldValue {
  try {
    switch (kind) {
      case "l":
        return BigInt(asText(value));
      case "bytes":
        return unbase64(value);
      case "text": {
        const bytes = unbase64(value);
        return readText(bytes, 0, bytes.length);
      }
      case "time":
        return new Timestamp(BigInt(asText(value)));
      case "decimal":
        return new Decimal(...value as [number, number]);
      case "table":
        return tableFromJson(value as { [name: string]: FieldJson });
      case "d": {
        // Integers, infinities and NaN are doubles only with an explicit type.
        const number = Number(asText(value));
        return Number.isInteger(number) && !Object.is(number, -0) ? new TypedNumber("d", number) : number;
      }
    }
    if (/^[bBsUuifL]$/.test(kind)) {
      const text = asText(value);
      return new TypedNumber(kind as NumberLetter, kind === "L" ? BigInt(text) : Number(text));
    }
  } catch (error) {
    throw new RecordError(`'$${kind}' of a header: ${error instanceof Error ? error.message : error}`);
  }
  throw new RecordError(`there is no type '$${kind}' of headers`);
}

/** Plain numbers are sent as 32-bit integers or as doubles. */
function isPlain(value: number): boolean {
  return Number.isFinite(value) && !Object.is(value, -0) &&
    (!Number.isInteger(value) || value === (value | 0));
}

function asText(value: FieldJson): string {
  if (typeof value !== "string" && typeof value !== "number") {
    throw new TypeError("expected text or a number");
  }
  return String(value);
}

/** Names of headers are text; the few that are not UTF-8 have a special form. */
function nameToJson(name: string): string {
  return name.isWellFormed() && !name.startsWith("$text:") ? name : `$text:${base64(bytesOfText(name))}`;
}

function nameFromJson(name: string): string {
  if (!name.startsWith("$text:")) return wellFormed(name);
  const bytes = unbase64(name.slice(6));
  return readText(bytes, 0, bytes.length);
}

/** AMQP's text would send a lone surrogate as another character, or as a byte that is not UTF-8. */
function wellFormed(text: string): string {
  if (text.isWellFormed()) return text;
  throw new RecordError(
    `text of a header or property contains a lone surrogate: use {"$text":"…"} for bytes`,
  );
}

export function bytesOfText(text: string): Uint8Array {
  const bytes = new Uint8Array(textLength(text));
  writeText(text, bytes, 0);
  return bytes;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
}

function unbase64(text: FieldJson): Uint8Array {
  const bytes = Buffer.from(String(text), "base64");
  // Buffer ignores characters that are not base64; a record must not lose bytes silently.
  if (typeof text !== "string" || bytes.toString("base64").replace(/=+$/, "") !== text.replace(/=+$/, "")) {
    throw new RecordError("it is not base64");
  }
  return new Uint8Array(bytes);
}
