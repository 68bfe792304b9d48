/** The syntax tree of a filter. */
import { PROPERTY } from "../amqp/property_scan.ts";

/** The comparisons, by their operator. */
export const OPERATORS = ["==", "!=", "<", "<=", ">", ">="] as const;

/** An operator that compares a field with a value. */
export type Operator = (typeof OPERATORS)[number];

/** A value in a filter. Durations are in milliseconds, sizes in bytes; integers beyond 2^53 are bigints. */
export type Literal = string | number | bigint | boolean | null;

/** The fields that are one value. */
const SIMPLE_FIELDS = ["topic", "exchange", "redelivered", "size", "age", "body"] as const;
/** The fields that have members. */
const NESTED_FIELDS = ["headers", "properties", "json"] as const;

/** All fields of a message. */
export const FIELDS = [...SIMPLE_FIELDS, ...NESTED_FIELDS] as const;

/** The name of a field, or of the group of fields that it belongs to. */
export type FieldName = (typeof FIELDS)[number];

/** Whether a field has members, such as `headers.id`. */
export function isNested(name: FieldName): name is (typeof NESTED_FIELDS)[number] {
  return (NESTED_FIELDS as readonly FieldName[]).includes(name);
}

/** A field of a message: `headers.x-death[0].count` is `headers` with the path `x-death`, 0, `count`. */
export interface Field {
  readonly name: FieldName;
  readonly path: readonly (string | number)[];
}

/** A filter as a tree. */
export type Expression =
  | { readonly type: "or" | "and"; readonly parts: readonly Expression[] }
  | { readonly type: "not"; readonly part: Expression }
  | { readonly type: "present"; readonly field: Field }
  | { readonly type: "compare"; readonly field: Field; readonly operator: Operator; readonly value: Literal }
  | { readonly type: "match"; readonly field: Field; readonly pattern: string };

/** The names of the properties of a message, as RabbitMQ writes them. */
export const PROPERTY_NAMES: ReadonlyMap<string, Exclude<keyof typeof PROPERTY, "headers">> = new Map(
  (Object.keys(PROPERTY) as (keyof typeof PROPERTY)[])
    .filter((key) => key !== "headers")
    .map((key) => [key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), key]),
);

/** The characters of a name that needs no quotes. */
export const NAME = /[\p{L}\p{N}_$-]+/uy;
