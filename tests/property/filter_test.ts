/** Filters: a printed tree is parsed to the same tree, and no message or text causes an error of another type. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { compileFilter } from "../../lib/filter/filter.ts";
import { FilterError } from "../../lib/filter/filter_error.ts";
import { parseExpression } from "../../lib/filter/parser.ts";
import {
  type Expression,
  type Field,
  type Literal,
  OPERATORS,
  PROPERTY_NAMES,
} from "../../lib/filter/syntax.ts";
import { filterMessage } from "../support/filter_message.ts";

const TIMEOUT = { timeout: 60_000 };

/** Records with the prototype of objects, as the parser makes them. */
const record = <T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record<T>(fields, { noNullPrototype: true });

const step = fc.oneof(
  fc.nat(99),
  fc.constantFrom("x-death", "count", "a", "and", "0", "__proto__"),
  fc.string({ unit: "binary", maxLength: 5 }),
);
const nested: fc.Arbitrary<Field> = record({
  name: fc.constantFrom("headers", "json"),
  path: fc.array(step, { maxLength: 4 }),
});
const property: fc.Arbitrary<Field> = fc.constantFrom(...PROPERTY_NAMES.keys())
  .map((name) => ({ name: "properties", path: [name] }));
const simple = (...names: Field["name"][]): fc.Arbitrary<Field> =>
  fc.constantFrom(...names).map((name) => ({ name, path: [] }));
const text = fc.oneof(fc.string(), fc.string({ unit: "binary" }));
/** The parser makes a bigint of digits that a number cannot hold exactly; from 1e21 on, numbers print an exponent. */
const isNumber = (value: number) =>
  !Number.isInteger(value) || Number.isSafeInteger(value) || Math.abs(value) >= 1e21;
const number = fc.oneof(
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0).filter(isNumber),
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).filter((value) => !Number.isSafeInteger(Number(value))),
);

function compare(field: fc.Arbitrary<Field>, value: fc.Arbitrary<Literal>, ordered = true) {
  const operator = fc.constantFrom(...(ordered ? OPERATORS : ["==", "!="] as const));
  return record({ type: fc.constant("compare" as const), field, operator, value });
}

const anyField = fc.oneof(nested, property, simple("body"));
const test: fc.Arbitrary<Expression> = fc.oneof(
  record({
    type: fc.constant("present" as const),
    field: fc.oneof(anyField, simple("topic", "age", "size")),
  }),
  compare(anyField, fc.oneof(text, number)),
  compare(anyField, fc.constantFrom(true, false, null), false),
  compare(simple("topic", "exchange"), text),
  compare(
    simple("age", "size"),
    fc.oneof(fc.integer(), fc.double({ noNaN: true, min: -1e9, max: 1e9 })).map((n) => n + 0),
  ),
  record({
    type: fc.constant("match" as const),
    field: fc.oneof(anyField, simple("topic")),
    pattern: fc.oneof(
      fc.string({ unit: fc.constantFrom("a", "'", '"', " ", "\n", "é") }),
      fc.constantFrom("^a\\.b", "\\d+\\\\", "(a|b)*$"),
    ),
  }),
);
const { tree } = fc.letrec<{ tree: Expression }>((tie) => ({
  tree: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    test,
    record({ type: fc.constant("not" as const), part: tie("tree") }),
    fc.constantFrom("or" as const, "and" as const).chain((type) =>
      record({
        type: fc.constant(type),
        // A part of the same type is not a tree of its own: the parser joins them.
        parts: fc.array(tie("tree").filter((part) => part.type !== type), { minLength: 2, maxLength: 3 }),
      })
    ),
  ),
}));

/** How a tree is written: the spaces, the quotes and the parentheses that are not needed. */
interface Style {
  readonly space: string;
  readonly quote: string;
  readonly enclosed: boolean;
}
const style = record({
  space: fc.constantFrom(" ", "  ", "\n\t"),
  quote: fc.constantFrom("'", '"'),
  enclosed: fc.boolean(),
});

function print(expression: Expression, style: Style): string {
  const { space } = style;
  const within = (part: Expression, needed: boolean) =>
    needed || style.enclosed ? `(${print(part, style)})` : print(part, style);
  switch (expression.type) {
    case "or":
      return expression.parts.map((part) => within(part, false)).join(`${space}or${space}`);
    case "and":
      return expression.parts.map((part) => within(part, part.type === "or")).join(`${space}and${space}`);
    case "not":
      return `not${space}${within(expression.part, "parts" in expression.part)}`;
    case "present":
      return printField(expression.field, style);
    case "compare":
      return [
        printField(expression.field, style),
        expression.operator,
        printValue(expression.field, expression.value, style),
      ].join(space);
    case "match":
      return `${printField(expression.field, style)}${space}=~${space}${quoted(expression.pattern, style)}`;
  }
}

function printField({ name, path }: Field, style: Style): string {
  return name + path.map((step) => {
    if (typeof step === "number") return `[${step}]`;
    return /^[a-z0-9_-]+$/i.test(step) ? `.${step}` : `[${quoted(step, style)}]`;
  }).join("");
}

function printValue({ name }: Field, value: Literal, style: Style): string {
  if (typeof value === "string") return quoted(value, style);
  return name === "age" ? `${value}ms` : String(value);
}

function quoted(text: string, { quote }: Style): string {
  return quote + text.replaceAll("\\", "\\\\").replaceAll(quote, `\\${quote}`) + quote;
}

const message = record({
  topic: fc.string(),
  properties: fc.oneof(
    fc.uint8Array({ maxLength: 60, size: "max" }),
    fc.constant(Uint8Array.of(0x20, 0, 0, 0, 0, 7, 1, 97, 65, 0, 0, 0, 0)),
  ),
  body: fc.oneof(fc.json(), fc.uint8Array({ maxLength: 60, size: "max" })),
});

describe("filter", () => {
  it(
    "a printed tree - is parsed to the same tree, whatever its spaces, quotes and parentheses are",
    TIMEOUT,
    () => {
      fc.assert(fc.property(tree, style, (expression, style) => {
        const text = print(expression, style);
        fc.pre(text.length <= 4096);
        assert.deepEqual(parseExpression(text), expression);
      }));
    },
  );

  it("a filter - is true or false for any message", TIMEOUT, () => {
    const plain = { space: " ", quote: '"', enclosed: false };
    fc.assert(fc.property(tree, message, (expression, parts) => {
      const text = print(expression, plain);
      fc.pre(text.length <= 4096);
      const given = filterMessage(parts);
      const matches = compileFilter(text).matches(given);
      assert.equal(typeof matches, "boolean");
      assert.equal(compileFilter(`not (${text})`).matches(given), !matches);
    }));
  });

  it("any text - is a filter or a FilterError", TIMEOUT, () => {
    const word = fc.constantFrom(
      ..."( ) not and or topic headers . [0] == =~ < 'a' \"b\" 1 5m null size json".split(" "),
    );
    const words = fc.array(fc.oneof(word, fc.string({ maxLength: 3 })), { maxLength: 20, size: "max" }).map((
      list,
    ) => list.join(" "));
    fc.assert(
      fc.property(fc.oneof(words, fc.string({ unit: "binary" })), (text) => {
        try {
          compileFilter(text);
        } catch (error) {
          assert.ok(error instanceof FilterError, String(error));
          assert.ok(error.position >= 0 && error.position <= text.length);
          assert.equal(error.excerpt.length, 2);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("the longest filters - take linear time to parse and to test", TIMEOUT, () => {
    const given = filterMessage({ topic: "a".repeat(255), body: "a".repeat(10_000) });
    const longest = [
      `${"not ".repeat(60)}topic`,
      `${"(".repeat(64)}topic${")".repeat(64)}`,
      Array.from({ length: 400 }, () => "not size").join(" or ").slice(0, 4092),
      `topic =~ "${"(a*)*".repeat(150)}b"`,
      `body =~ "${"(a|a)*".repeat(100)}b"`,
      `headers${".a".repeat(2000)}`,
      "(".repeat(4096),
      "[".repeat(4096),
      "' ".repeat(2000),
    ];
    for (const text of longest) {
      const start = performance.now();
      try {
        compileFilter(text).matches(given);
      } catch (error) {
        assert.ok(error instanceof FilterError, String(error));
      }
      assert.ok(performance.now() - start < 5000, `too slow: ${text.slice(0, 40)}`);
    }
  });
});
