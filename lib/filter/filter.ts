/** Filters that users write: which messages a command or a consumer gets. */
import { compilePattern } from "../regex/pattern.ts";
import { Fields, readerOf } from "./fields.ts";
import type { FilterMessage } from "./message.ts";
import { parseExpression } from "./parser.ts";
import type { Expression } from "./syntax.ts";
import { comparison, textOf, type ValueTest } from "./values.ts";

/** A compiled filter. */
export interface Filter {
  /** The filter as it was written. */
  readonly text: string;
  /**
   * Whether a message matches. It allocates nothing for fields that need no decoding.
   *
   * @param now the time for `age`, in milliseconds since 1970. Default: the current time
   * @throws {FilterLimitError} the filter tests the content of a body that is larger than `maxBody`; nothing else
   */
  matches(message: FilterMessage, now?: number): boolean;
}

/** The limits of a filter. */
export interface FilterOptions {
  /** The size of the largest body whose content is tested, in bytes. Default: no limit. */
  readonly maxBody?: number;
}

type Test = (fields: Fields) => boolean;

/**
 * Compiles a filter such as `headers.x-death[0].count > 3 and topic =~ "^orders"`. The README of this folder describes
 * the language.
 *
 * @throws {FilterError} it is malformed, too long or nested too deeply, or has a pattern that cannot be used
 */
export function compileFilter(text: string, { maxBody = Infinity }: FilterOptions = {}): Filter {
  const test = compile(parseExpression(text));
  const fields = new Fields(maxBody);
  return {
    text,
    matches(message, now) {
      fields.of(message, now);
      return test(fields);
    },
  };
}

function compile(expression: Expression): Test {
  switch (expression.type) {
    case "or": {
      const tests = expression.parts.map(compile);
      return (fields) => {
        for (const test of tests) if (test(fields)) return true;
        return false;
      };
    }
    case "and": {
      const tests = expression.parts.map(compile);
      return (fields) => {
        for (const test of tests) if (!test(fields)) return false;
        return true;
      };
    }
    case "not": {
      const test = compile(expression.part);
      return (fields) => !test(fields);
    }
    default:
      return compileTest(expression);
  }
}

function compileTest(expression: Exclude<Expression, { type: "or" | "and" | "not" }>): Test {
  const read = readerOf(expression.field);
  const test = valueTest(expression);
  return (fields) => {
    const value = read(fields);
    return value !== undefined && test(value);
  };
}

/** The test of a value that the message has. */
function valueTest(expression: Exclude<Expression, { type: "or" | "and" | "not" }>): ValueTest {
  switch (expression.type) {
    case "present":
      return (value) => value !== false && value !== null;
    case "compare":
      return comparison(expression.operator, expression.value);
    case "match": {
      const pattern = compilePattern(expression.pattern);
      return (value) => {
        const text = textOf(value);
        return text !== undefined && pattern.test(text);
      };
    }
  }
}
