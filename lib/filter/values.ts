/** Compares the values of messages with those of filters. */
import { readText } from "../bytes/text.ts";
import { Decimal, Timestamp, TypedNumber } from "../amqp/types/field_value.ts";
import type { Literal, Operator } from "./syntax.ts";

/** Tests a value that a message has; it is never undefined. */
export type ValueTest = (value: unknown) => boolean;

/** The longest text that is read as a number. */
const MAX_DIGITS = 40;
const NUMBER = /^-?(?:\d+(?:\.\d+)?|\.\d+)(?:e[+-]?\d+)?$/i;

/** Returns the test for a comparison. A value of another type is unequal, and neither smaller nor larger. */
export function comparison(operator: Operator, literal: Literal): ValueTest {
  const read = readerFor(literal);
  const differs = operator === "!=";
  const holds = HOLDS[operator] as (value: unknown, literal: Literal) => boolean;
  return (value) => {
    const comparable = read(value);
    return comparable === undefined ? differs : holds(comparable, literal);
  };
}

type Comparable = string | number | bigint;

const HOLDS: Record<Operator, (value: Comparable, literal: Comparable) => boolean> = {
  // Loosely, because 1 and 1n are equal.
  // deno-lint-ignore eqeqeq
  "==": (value, literal) => value == literal,
  // deno-lint-ignore eqeqeq
  "!=": (value, literal) => value != literal,
  "<": (value, literal) => value < literal,
  "<=": (value, literal) => value <= literal,
  ">": (value, literal) => value > literal,
  ">=": (value, literal) => value >= literal,
};

/** Returns the function that converts values to the type of a literal; undefined for values that do not fit. */
function readerFor(literal: Literal): (value: unknown) => unknown {
  switch (typeof literal) {
    case "string":
      return textOf;
    case "boolean":
      return booleanOf;
    case "object":
      return (value) => value === null ? null : undefined;
    default:
      return numberOf;
  }
}

/** Returns a value as text; undefined if it is not a text. */
export function textOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return value instanceof Uint8Array ? readText(value, 0, value.length) : undefined;
}

/** Returns a value as a number; undefined if it is not one. Headers of MQTT and STOMP are texts. */
export function numberOf(value: unknown): number | bigint | undefined {
  if (typeof value === "number" || typeof value === "bigint") return value;
  if (value instanceof TypedNumber || value instanceof Timestamp || value instanceof Decimal) {
    return value.valueOf();
  }
  if (typeof value !== "string" || value.length > MAX_DIGITS || !NUMBER.test(value)) return undefined;
  const number = Number(value);
  return Number.isSafeInteger(number) || !/^-?\d+$/.test(value) ? number : BigInt(value);
}

function booleanOf(value: unknown): boolean | undefined {
  if (typeof value === "boolean") return value;
  return value === "true" ? true : value === "false" ? false : undefined;
}

/** Returns the member at a path of tables, objects and arrays; undefined if there is none. */
export function memberAt(value: unknown, path: readonly (string | number)[]): unknown {
  for (const step of path) {
    if (typeof step === "number" ? !Array.isArray(value) : !isTable(value)) return undefined;
    value = Object.hasOwn(value as object, step)
      ? (value as Record<string | number, unknown>)[step]
      : undefined;
  }
  return value;
}

/** Whether a value has members: a field table, or an object of JSON. */
function isTable(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}
