import { Buffer } from "node:buffer";
import {
  Decimal,
  type FieldTable,
  type FieldValue,
  Timestamp,
  TypedNumber,
} from "../../../amqp/types/field_value.ts";

/** JSON, as `JSON.parse` gives it. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/**
 * A field table in JSON's terms, as RabbitMQ's management shows it: every number is a number, bytes that are no text are
 * base64.
 */
export function tableToJson(table: FieldTable): { [name: string]: Json } {
  return Object.fromEntries(Object.entries(table).map(([name, value]) => [name, toJson(value)]));
}

function toJson(value: FieldValue): Json {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "bigint") return Number(value);
  if (value instanceof Timestamp || value instanceof TypedNumber || value instanceof Decimal) {
    return Number(value.valueOf());
  }
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  return Array.isArray(value) ? value.map(toJson) : tableToJson(value);
}

/** The field table that JSON means; integers have 64 bits, as RabbitMQ's management makes them. */
export function tableFromJson(json: { readonly [name: string]: Json }): FieldTable {
  return Object.assign(
    Object.create(null),
    Object.fromEntries(Object.entries(json).map(([name, value]) => [name, fromJson(value)])),
  );
}

function fromJson(value: Json): FieldValue {
  if (Number.isSafeInteger(value)) return BigInt(value as number);
  if (Array.isArray(value)) return value.map(fromJson);
  return typeof value === "object" && value !== null ? tableFromJson(value) : value;
}
