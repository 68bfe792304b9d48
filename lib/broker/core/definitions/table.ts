import { Buffer } from "node:buffer";
import {
  Decimal,
  type FieldTable,
  type FieldValue,
  Timestamp,
  TypedNumber,
} from "../../../amqp/types/field_value.ts";

/** A JSON value, as `JSON.parse` returns it. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/**
 * Converts a field table to JSON as RabbitMQ's management does: all numeric types become numbers, and bytes become
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

/** Converts JSON to a field table. Integers become 64-bit integers, as in RabbitMQ's management. */
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
