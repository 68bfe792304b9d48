import { amqpError } from "../../../amqp/amqp_error.ts";
import { type FieldTable, type FieldValue, Timestamp, TypedNumber } from "../../../amqp/types/field_value.ts";
import { readText } from "../../../bytes/text.ts";
import { show, typeName } from "../arguments.ts";
import { tableKey } from "../topology/definition_change.ts";
import type { Matcher, MessageHeaders, Route } from "./contract.ts";

/** The parsed arguments of a binding. */
interface HeadersPattern {
  /** Whether one matching field is enough. */
  readonly any: boolean;
  readonly fields: readonly (readonly [name: string, value: FieldValue])[];
}

const KINDS: readonly unknown[] = ["all", "any", "all-with-x", "any-with-x"];

/**
 * The exchange type `headers`: the fields of the binding's arguments match the message's headers (AMQP 0-9-1, 3.1.3.4).
 * `x-match` defines whether all fields must match or one is enough, and whether names with the prefix `x-` are compared
 * (RabbitMQ 3.10). A field without a value matches any value. Values are compared as in RabbitMQ: numbers of different
 * types are equal if their values are.
 */
export class HeadersMatcher<Destination> implements Matcher<Destination> {
  readonly byKeyOnly = false;
  readonly #patterns = new Map<Route<Destination>, HeadersPattern>();

  check(args: FieldTable): void {
    const kind = args["x-match"];
    if (kind === undefined || KINDS.includes(kind)) return;
    throw amqpError(
      406,
      typeof kind === "string"
        ? `Invalid x-match field value <<"${kind}">>; expected all, any, all-with-x, or any-with-x`
        : `Invalid x-match field type ${typeName(kind)} (value ${show(kind)}); expected longstr`,
    );
  }

  add(route: Route<Destination>): void {
    this.#patterns.set(route, compile(route.arguments));
  }

  remove(route: Route<Destination>): void {
    this.#patterns.delete(route);
  }

  match(_routingKey: string, headers: MessageHeaders, into: Destination[]): void {
    if (this.#patterns.size === 0) return;
    const table = headers.table();
    for (const [{ destination }, pattern] of this.#patterns) {
      if (matches(pattern, table)) into.push(destination);
    }
  }
}

function compile(args: FieldTable): HeadersPattern {
  const kind = args["x-match"];
  const withX = kind === "all-with-x" || kind === "any-with-x";
  const fields = Object.entries(args).filter(([name]) =>
    name !== "x-match" && (withX || !name.startsWith("x-"))
  );
  return { any: kind === "any" || kind === "any-with-x", fields };
}

function matches({ any, fields }: HeadersPattern, headers: FieldTable): boolean {
  for (const [name, value] of fields) {
    const header = headers[name];
    const same = header !== undefined && (value === null || isEqual(value, header));
    if (same === any) return any;
  }
  return !any;
}

function isEqual(a: FieldValue, b: FieldValue): boolean {
  if (a === b) return true;
  if (typeof a === "string" && typeof b === "string") return false;
  const number = numberOf(a);
  // The loose comparison works across numbers and bigints.
  if (number !== undefined) return number == numberOf(b);
  const text = textOf(a);
  if (text !== undefined) return text === textOf(b);
  return tableKey({ value: a }) === tableKey({ value: b });
}

function numberOf(value: FieldValue): number | bigint | undefined {
  if (typeof value === "number" || typeof value === "bigint") return value;
  return value instanceof TypedNumber || value instanceof Timestamp ? value.valueOf() : undefined;
}

/** Returns text and bytes as text, because RabbitMQ does not distinguish them. */
function textOf(value: FieldValue): string | undefined {
  if (value instanceof Uint8Array) return readText(value, 0, value.length);
  return typeof value === "string" ? value : undefined;
}
