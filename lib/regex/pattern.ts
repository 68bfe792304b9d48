/**
 * Patterns that users write: permissions, policies, filters and rules for topics. They run on RE2, whose time grows
 * linearly with the length of the text. The engine of the runtime can take exponential time.
 */
import { createRequire } from "node:module";
import { messageOf } from "../errors.ts";

/** A compiled pattern. It can match anywhere in a text, as in RabbitMQ. */
export interface Pattern {
  readonly source: string;
  test(text: string): boolean;
}

type Engine = (typeof import("re2js"))["RE2JS"];

/** The maximum length of a pattern. */
const MAX_LENGTH = 1024;
/** The maximum size of a compiled pattern, in instructions. The time for a text grows with it. */
const MAX_SIZE = 2048;
/** The number of compiled patterns that are kept. */
const MAX_CACHED = 256;
/** The maximum time to match a list of names, in milliseconds. */
const MAX_TIME = 1000;

/** Features of PCRE, which RabbitMQ uses, that need backtracking. */
const BACKTRACKING: readonly (readonly [RegExp, string])[] = [
  [/\(\?<?[=!]/, "lookahead and lookbehind"],
  [/\\[1-9]|\\[gk][{<'\d]|\(\?P=/, "back-references"],
  [/\(\?>|[*+?}]\+/, "atomic groups and possessive repetitions"],
];

const cache = new Map<string, Pattern>();
let engine: Engine | undefined;

/** Bundlers replace this call; elsewhere a module has no `require`. */
declare const require: ((name: string) => unknown) | undefined;

/**
 * Compiles a pattern. An empty pattern means `^$`, as in RabbitMQ.
 *
 * @throws {SyntaxError} the pattern is invalid, too long or too large, or uses a feature that needs backtracking
 */
export function compilePattern(source: string): Pattern {
  const known = cache.get(source);
  if (known !== undefined) return known;
  if (source.length > MAX_LENGTH) throw mistake(source, `it has more than ${MAX_LENGTH} characters`);
  const compiled = simplePattern(source) ?? enginePattern(source);
  if (cache.size === MAX_CACHED) cache.clear();
  cache.set(source, compiled);
  return compiled;
}

/** Compiles a pattern that is stored on disk. If that fails, the pattern matches nothing. */
export function compileStoredPattern(source: string): Pattern {
  try {
    return compilePattern(source);
  } catch {
    return { source, test: () => false };
  }
}

/**
 * Returns the items whose name matches.
 *
 * @throws {SyntaxError} matching takes longer than a second
 */
export function filterByPattern<T>(pattern: Pattern, items: Iterable<T>, nameOf: (item: T) => string): T[] {
  const end = performance.now() + MAX_TIME;
  const found: T[] = [];
  for (const item of items) {
    if (performance.now() > end) {
      throw mistake(pattern.source, "it takes longer than a second for all names; use a simpler one");
    }
    if (pattern.test(nameOf(item))) found.push(item);
  }
  return found;
}

/** Returns the pattern for text with anchors and `.*` only, which needs no engine. Undefined for other patterns. */
function simplePattern(source: string): Pattern | undefined {
  if (source === "") return { source, test: (text) => text === "" };
  const parts = /^(\^?)((?:[\w\- :@/,<>=!#%&~"']|\\[.^$*+?()[\]{}|\\\-/])*)((?:\.\*)?)(\$?)$/.exec(source);
  if (parts === null) return undefined;
  const literal = parts[2]!.replace(/\\(.)/g, "$1");
  const fromStart = parts[1] !== "";
  const any = parts[3] !== "";
  if (parts[4] === "") {
    return { source, test: (text) => fromStart ? text.startsWith(literal) : text.includes(literal) };
  }
  if (!any) return { source, test: (text) => fromStart ? text === literal : text.endsWith(literal) };
  // A dot matches no line break.
  const inLastLine = (text: string, start: number) =>
    start >= 0 && !text.includes("\n", start + literal.length);
  return {
    source,
    test: (text) =>
      fromStart
        ? text.startsWith(literal) && inLastLine(text, 0)
        : inLastLine(text, text.lastIndexOf(literal)),
  };
}

function enginePattern(source: string): Pattern {
  const compiled = compileWithEngine(source);
  return { source, test: (text) => compiled.test(text) };
}

/** A change of texts by a pattern. */
export interface Rewrite {
  /** The text with the first match replaced; undefined when the pattern does not match. */
  apply(text: string): string | undefined;
}

/**
 * Compiles a pattern and its replacement, in which `$1` is the first group, `$&` the match and `$$` a dollar sign.
 *
 * @throws {SyntaxError} the pattern cannot be used, or the replacement names a group that the pattern does not have
 */
export function compileRewrite(source: string, replacement: string): Rewrite {
  if (source.length > MAX_LENGTH) throw mistake(source, `it has more than ${MAX_LENGTH} characters`);
  const compiled = compileWithEngine(source);
  const groups = compiled.groupCount();
  for (const [, escaped, group] of replacement.matchAll(/\$(?:(\$)|([1-9]\d?))/g)) {
    if (escaped === undefined && Number(group) > groups && Number(group![0]) > groups) {
      throw mistake(source, `it has ${groups} groups, and the replacement names $${group}`);
    }
  }
  return {
    apply(text) {
      const matcher = compiled.matcher(text);
      return matcher.find() ? matcher.replaceFirst(replacement) : undefined;
    },
  };
}

function compileWithEngine(source: string): InstanceType<Engine> {
  const loaded = loadEngine();
  let compiled: InstanceType<Engine>;
  try {
    compiled = loaded.compile(source);
  } catch (error) {
    const feature = BACKTRACKING.find(([syntax]) => syntax.test(source))?.[1];
    const reason = messageOf(error).replace(/^error parsing regexp: /, "");
    throw mistake(
      source,
      feature === undefined
        ? `it is not a regular expression (${reason})`
        : `${feature} are not supported, because they can take exponential time`,
      error,
    );
  }
  if (compiled.programSize() > MAX_SIZE) throw mistake(source, "its repetitions are too many");
  return compiled;
}

/** Loads the engine on first use: most brokers need none, and it takes tens of milliseconds. */
function loadEngine(): Engine {
  if (engine === undefined) {
    const loaded = typeof require === "function" ? require("re2js") : createRequire(import.meta.url)("re2js");
    engine = (loaded as typeof import("re2js")).RE2JS;
  }
  return engine;
}

/**
 * Loads the engine in advance where it cannot be loaded on first use: if this module comes from a web server. The
 * `import` also makes `deno compile` include the package.
 */
export async function prepareEngine(): Promise<void> {
  if (!import.meta.url.startsWith("file:")) engine ??= (await import("re2js")).RE2JS;
}

function mistake(source: string, what: string, cause?: unknown): SyntaxError {
  return new SyntaxError(`Cannot use the pattern '${source.slice(0, 100)}': ${what}`, { cause });
}
