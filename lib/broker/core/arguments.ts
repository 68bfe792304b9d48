import { amqpError } from "../../amqp/amqp_error.ts";
import {
  Decimal,
  type FieldTable,
  type FieldValue,
  integerOf,
  Timestamp,
  TypedNumber,
} from "../../amqp/types/field_value.ts";
import { tableKey } from "./topology/definition_change.ts";

/** Formats a queue or an exchange as in RabbitMQ's error texts. */
export function resource(kind: "queue" | "exchange", name: string, vhost: string): string {
  return `${kind} '${name}' in vhost '${vhost}'`;
}

const NUMBER_TYPES = {
  b: "byte",
  B: "unsignedbyte",
  s: "short",
  U: "short",
  u: "unsignedshort",
  i: "unsignedint",
  L: "long",
  f: "float",
  d: "double",
} as const;

/** Returns the type of a field value as in RabbitMQ's error texts. */
export function typeName(value: FieldValue): string {
  switch (typeof value) {
    case "string":
      return "longstr";
    case "boolean":
      return "bool";
    case "bigint":
      return "long";
    case "number":
      return value === (value | 0) ? "signedint" : Number.isSafeInteger(value) ? "long" : "double";
  }
  if (value === null) return "void";
  if (value instanceof Uint8Array) return "binary";
  if (Array.isArray(value)) return "array";
  if (value instanceof TypedNumber) return NUMBER_TYPES[value.letter];
  if (value instanceof Timestamp) return "timestamp";
  return value instanceof Decimal ? "decimal" : "table";
}

/** Formats a field value as in RabbitMQ's error texts. */
export function show(value: FieldValue): string {
  if (value === null) return "undefined";
  if (value instanceof TypedNumber || value instanceof Timestamp) return String(value.valueOf());
  if (value instanceof Decimal) return `{${value.scale},${value.value}}`;
  if (value instanceof Uint8Array) return `<<${value.join(",")}>>`;
  return typeof value === "object"
    ? JSON.stringify(value, (_, one) => typeof one === "bigint" ? `${one}` : one)
    : `${value}`;
}

/**
 * Checks that a property of a declaration is the same as that of the existing resource.
 *
 * @throws {AmqpError} 406: they differ
 */
export function checkSame(
  current: string | boolean,
  wanted: string | boolean,
  what: string,
  property: string,
): void {
  if (current !== wanted) throw inequivalent(property, what, `'${wanted}'`, `'${current}'`);
}

/**
 * Checks that the arguments of a declaration are the same as those of the existing resource. Integers of different
 * types are equal if their values are.
 *
 * @param what the resource, as `resource` names it
 * @param names the arguments to compare
 * @throws {AmqpError} 406: they differ
 */
export function checkSameArguments(
  current: FieldTable,
  wanted: FieldTable,
  what: string,
  names: readonly string[],
): void {
  for (const name of names) {
    const there = current[name];
    const asked = wanted[name];
    if (there === undefined && asked === undefined) continue;
    if (there !== undefined && asked !== undefined) {
      if (!areSame(there, asked)) throw inequivalent(name, what, `'${show(asked)}'`, `'${show(there)}'`);
    } else if (name !== "x-queue-type" || (there ?? asked) !== "classic") {
      throw inequivalent(name, what, describe(asked), describe(there));
    }
  }
}

function areSame(a: FieldValue, b: FieldValue): boolean {
  const number = integerOf(a);
  if (number !== undefined) return number === integerOf(b);
  return a === b || tableKey({ value: a }) === tableKey({ value: b });
}

function describe(value: FieldValue | undefined): string {
  return value === undefined ? "none" : `the value '${show(value)}' of type '${typeName(value)}'`;
}

function inequivalent(name: string, what: string, received: string, current: string): Error {
  return amqpError(
    406,
    `inequivalent arg '${name}' for ${what}: received ${received} but current is ${current}`,
  );
}
