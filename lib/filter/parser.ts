/** Parses filters by recursive descent. The grammar is in the README of this folder. */
import { messageOf } from "../errors.ts";
import { compilePattern } from "../regex/pattern.ts";
import { FilterError } from "./filter_error.ts";
import {
  type Expression,
  type Field,
  type FieldName,
  FIELDS,
  isNested,
  type Literal,
  NAME,
  type Operator,
  OPERATORS,
  PROPERTY_NAMES,
} from "./syntax.ts";

/** The maximum length of a filter, in characters. */
export const MAX_LENGTH = 4096;
/** The maximum depth of parentheses and `not`. */
export const MAX_DEPTH = 64;

const NUMBER = /(-?(?:\d+(?:\.\d+)?|\.\d+)(?:e[+-]?\d+)?)([a-z]*)/iy;
const SYMBOL = /[^\s\p{L}\p{N}_"'()]+/uy;

/** Durations in milliseconds. */
const DURATIONS: ReadonlyMap<string, number> = new Map(Object.entries({
  "": 1000,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}));
/** Sizes in bytes, in lower case. */
const SIZES: ReadonlyMap<string, number> = new Map(
  Object.entries({ "": 1, b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 }),
);
const WORDS: ReadonlyMap<string, boolean | null> = new Map(
  Object.entries({ true: true, false: false, null: null }),
);
/** Operators of other languages, and what they are here. */
const FOREIGN: ReadonlyMap<string, string> = new Map(Object.entries({
  "=": "'=='",
  "===": "'=='",
  "<>": "'!='",
  "!==": "'!='",
  "~": "'=~'",
  "!~": "'not' before the field, and '=~'",
  "&&": "'and'",
  "||": "'or'",
  "!": "'not'",
}));
/** The values that fit fields of one type. */
const COMPARED_WITH: Partial<Record<FieldName, keyof typeof KINDS>> = {
  topic: "string",
  exchange: "string",
  size: "number",
  age: "number",
  redelivered: "boolean",
};
const KINDS = { string: "a text in quotes", number: "a number", boolean: "true or false" } as const;
const ESCAPES: ReadonlyMap<string, string> = new Map(Object.entries({
  n: "\n",
  r: "\r",
  t: "\t",
  '"': '"',
  "'": "'",
  "\\": "\\",
}));

/**
 * Parses a filter.
 *
 * @throws {FilterError} it is malformed, too long or nested too deeply, or has a pattern that cannot be used
 */
export function parseExpression(text: string): Expression {
  if (text.length > MAX_LENGTH) {
    throw new FilterError(text, MAX_LENGTH, `it has more than ${MAX_LENGTH} characters`);
  }
  return new Parser(text).parse();
}

class Parser {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): Expression {
    const expression = this.#alternatives();
    if (this.#at < this.#text.length) this.#unexpected("'and', 'or' or the end");
    return expression;
  }

  #alternatives(): Expression {
    return this.#list("or", () => this.#list("and", () => this.#term()));
  }

  #list(type: "or" | "and", next: () => Expression): Expression {
    const first = next();
    if (!this.#takeWord(type)) return first;
    const parts = [first];
    do parts.push(next()); while (this.#takeWord(type));
    // Parentheses around an equal operator change nothing.
    return { type, parts: parts.flatMap((part) => part.type === type ? part.parts : [part]) };
  }

  #term(): Expression {
    this.#skipSpace();
    if (this.#takeWord("not")) return { type: "not", part: this.#nested(() => this.#term()) };
    if (this.#text[this.#at] !== "(") return this.#test();
    const start = this.#at++;
    const expression = this.#nested(() => this.#alternatives());
    if (this.#text[this.#at] !== ")") {
      if (this.#at < this.#text.length) this.#unexpected("'and', 'or' or ')'");
      this.#fail(start, "the parenthesis is not closed");
    }
    this.#at++;
    this.#skipSpace();
    return expression;
  }

  #nested(next: () => Expression): Expression {
    if (++this.#depth > MAX_DEPTH) this.#fail(this.#at, `it is nested deeper than ${MAX_DEPTH} levels`);
    const expression = next();
    this.#depth--;
    return expression;
  }

  #test(): Expression {
    const start = this.#at;
    const field = this.#field();
    this.#skipSpace();
    const operatorAt = this.#at;
    const symbol = this.#take(SYMBOL);
    if (symbol === undefined) return { type: "present", field };
    if (symbol === "=~") return { type: "match", field, pattern: this.#pattern(field, start) };
    const operator = OPERATORS.find((known) => known === symbol.replace(/[-.]$/, ""));
    if (operator === undefined) this.#foreign(symbol, operatorAt);
    // `<-1` and `<.5` are an operator and a number.
    this.#at = operatorAt + operator.length;
    return { type: "compare", field, operator, value: this.#value(field, operator) };
  }

  #foreign(symbol: string, at: number): never {
    const instead = FOREIGN.get(symbol);
    if (instead !== undefined) this.#fail(at, `there is no operator '${symbol}': write ${instead}`);
    this.#fail(at, `expected an operator (${OPERATORS.join(" ")} =~), 'and' or 'or', found '${symbol}'`);
  }

  #field(): Field {
    const start = this.#at;
    const name = this.#take(NAME);
    if (name === undefined) this.#unexpected("a field");
    if (!(FIELDS as readonly string[]).includes(name)) {
      this.#fail(start, `there is no field '${name}': expected one of ${FIELDS.join(", ")}`);
    }
    const field = { name: name as FieldName, path: this.#path() };
    if (field.path.length > 0 && !isNested(field.name)) {
      this.#fail(start + name.length, `'${name}' is one value, without members`);
    }
    if (field.name === "properties") this.#checkProperty(field.path, start + name.length);
    return field;
  }

  #checkProperty(path: Field["path"], at: number): void {
    const [name] = path;
    if (path.length === 1 && PROPERTY_NAMES.has(String(name))) return;
    const expected = `expected one of ${[...PROPERTY_NAMES.keys()].join(", ")}`;
    if (path.length === 0) this.#fail(at, `the name of a property is missing: ${expected}`);
    if (path.length === 1) this.#fail(at + 1, `there is no property '${name}': ${expected}`);
    this.#fail(at + 1, "a property is one value, without members");
  }

  #path(): (string | number)[] {
    const path: (string | number)[] = [];
    for (;;) {
      if (this.#text[this.#at] === ".") {
        this.#at++;
        const name = this.#take(NAME);
        if (name === undefined) this.#unexpected('a name (names with other characters: ["a name"])');
        path.push(name);
      } else if (this.#text[this.#at] === "[") path.push(this.#member());
      else return path;
    }
  }

  #member(): string | number {
    this.#at++;
    const index = this.#take(/\d{1,9}/y);
    const member = index === undefined ? this.#string() : Number(index);
    if (member === undefined) this.#unexpected('a number or a name in quotes, such as [0] or ["a name"]');
    if (this.#text[this.#at] !== "]") this.#unexpected("']'");
    this.#at++;
    return member;
  }

  #pattern(field: Field, start: number): string {
    if ((COMPARED_WITH[field.name] ?? "string") !== "string") {
      this.#fail(start, `'${field.name}' is not a text, so no pattern matches it`);
    }
    this.#skipSpace();
    const at = this.#at;
    const pattern = this.#string();
    if (pattern === undefined) this.#unexpected("a pattern in quotes");
    this.#skipSpace();
    try {
      compilePattern(pattern);
    } catch (error) {
      const message = messageOf(error);
      this.#fail(at, message.charAt(0).toLowerCase() + message.slice(1), error);
    }
    return pattern;
  }

  #value(field: Field, operator: Operator): Literal {
    this.#skipSpace();
    const start = this.#at;
    const value = this.#string() ?? this.#number(field.name) ?? this.#word();
    if (value === undefined) this.#unexpected("a value: a text in quotes, a number, true, false or null");
    const expected = COMPARED_WITH[field.name];
    if (expected !== undefined && typeof value !== expected) {
      this.#fail(start, `'${field.name}' is compared with ${KINDS[expected]}`);
    }
    if ((value === null || typeof value === "boolean") && operator !== "==" && operator !== "!=") {
      this.#fail(start, `${value} has no order: use == or !=`);
    }
    this.#skipSpace();
    return value;
  }

  /** A text in quotes. A backslash is kept unless it is an escape, so that patterns need no second one. */
  #string(): string | undefined {
    const start = this.#at;
    const quote = this.#text[start];
    if (quote !== '"' && quote !== "'") return undefined;
    let value = "";
    for (this.#at++; this.#text[this.#at] !== quote; this.#at++) {
      const char = this.#text[this.#at];
      if (char === undefined) this.#fail(start, "the quote is not closed");
      const escape = char === "\\" ? ESCAPES.get(this.#text[this.#at + 1] ?? "") : undefined;
      if (escape !== undefined) this.#at++;
      value += escape ?? char;
    }
    this.#at++;
    return value;
  }

  #number(field: FieldName): number | bigint | undefined {
    const start = this.#at;
    const text = this.#take(NUMBER);
    if (text === undefined) return undefined;
    NUMBER.lastIndex = 0;
    const [, digits, unit] = NUMBER.exec(text)!;
    const factor = field === "age"
      ? DURATIONS.get(unit!)
      : field === "size"
      ? SIZES.get(unit!.toLowerCase().replace(/(?<=[kmg])i?b$/, ""))
      : unit === ""
      ? 1
      : undefined;
    if (factor === undefined) this.#fail(start + digits!.length, this.#unitMistake(field, unit!));
    const value = Number(digits) * factor + 0; // not -0
    if (!Number.isFinite(value)) this.#fail(start, "the number is too large");
    if (field === "age" || field === "size" || !/^-?\d+$/.test(digits!)) return value;
    return Number.isSafeInteger(value) ? value : BigInt(digits!);
  }

  #unitMistake(field: FieldName, unit: string): string {
    if (field === "age") return `there is no unit '${unit}' of time: expected ms, s, m, h or d`;
    if (field === "size") return `there is no unit '${unit}' of size: expected k, M or G`;
    return `'${unit}' after the number: only age and size have units`;
  }

  #word(): boolean | null | undefined {
    const start = this.#at;
    const word = this.#take(NAME);
    if (word === undefined) return undefined;
    const value = WORDS.get(word);
    if (value !== undefined) return value;
    this.#fail(start, `expected a value, found '${word}': a text needs quotes`);
  }

  #takeWord(word: "and" | "or" | "not"): boolean {
    const start = this.#at;
    if (this.#take(NAME)?.toLowerCase() === word) {
      this.#skipSpace();
      return true;
    }
    this.#at = start;
    return false;
  }

  #skipSpace(): void {
    while (/\s/.test(this.#text[this.#at] ?? "")) this.#at++;
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #unexpected(expected: string): never {
    const at = this.#at;
    const symbol = this.#take(SYMBOL);
    if (symbol !== undefined && FOREIGN.has(symbol)) this.#foreign(symbol, at);
    const rest = this.#text.slice(at);
    const found = /^[\p{L}\p{N}_$-]+|^./us.exec(rest)?.[0];
    this.#fail(
      at,
      `expected ${expected}, found ${found === undefined ? "the end" : `'${found.slice(0, 40)}'`}`,
    );
  }

  #fail(at: number, reason: string, cause?: unknown): never {
    throw new FilterError(this.#text, at, reason, cause === undefined ? undefined : { cause });
  }
}
