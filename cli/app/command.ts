/**
 * The one place that knows the command parser. Commands are data: typed options in groups, examples, an action. The
 * words are cliffy's (command, option, example, group), so another parser can take commander's place in this file.
 */
import { Command as Parser, CommanderError, Option as ParserOption } from "commander";
import exitCodes from "../cheats/exit-codes.md" with { type: "text" };
import { UsageError } from "./errors.ts";

/** Turns an option's text into its value; throws an Error that says what was expected. */
export type Parse<T> = (text: string) => T;

/** An option whose value has the type `T`. */
export interface Option<T> {
  /** commander's notation: `-n, --count <number>`. */
  readonly flags: string;
  readonly description: string;
  readonly kind: "flag" | "value" | "list";
  readonly group: string;
  readonly parse: Parse<unknown>;
  /** Carries the type only. */
  readonly type?: T;
}

export type Options = Record<string, Option<unknown>>;

/** The values of a set of options: what was not given is undefined, or an empty list. */
export type Values<O extends Options> = { readonly [K in keyof O]: O[K] extends Option<infer T> ? T : never };

/** What the overview says of a command; it is known without loading it. */
export interface Title {
  readonly name: string;
  readonly group: string;
  readonly summary: string;
}

/** A command of mqcat. */
export interface Command<O extends Options = Options> {
  /** What comes after the options, a word for each in commander's notation, and what the last one means. */
  readonly argument?: readonly [syntax: string, description: string];
  readonly options: O;
  /** Whether options behind the first operand are operands, too: those of another program. */
  readonly passThrough?: boolean;
  /** The text of `cheats/NAME.md`, shown behind the options. */
  readonly examples: string;
  /** Does the work and returns the exit code. */
  readonly action: (values: Values<O>, operands: string[]) => Promise<number>;
}

/** A switch. */
export function flag(flags: string, description: string): Option<boolean | undefined> {
  return { flags, description, kind: "flag", group: "", parse: () => true };
}

/** An option with one value; the last one given counts. */
export function option<T>(flags: string, description: string, parse: Parse<T>): Option<T | undefined> {
  return { flags, description, kind: "value", group: "", parse };
}

/** An option that may be repeated. */
export function list<T>(flags: string, description: string, parse: Parse<T>): Option<T[]> {
  return { flags, description, kind: "list", group: "", parse };
}

/** Puts options under a heading of the help. */
export function group<O extends Options>(title: string, options: O): O {
  const grouped = Object.entries(options).map(([key, option]) => [key, { ...option, group: title }]);
  return Object.fromEntries(grouped) as O;
}

/** Defines a command; it only fixes the types. */
export function command<O extends Options>(definition: Command<O>): Command<O> {
  return definition;
}

/**
 * Parses the words behind the command's name and runs it.
 *
 * @param explain is asked, for an option that the command does not have, for a hint where it belongs
 * @returns the exit code
 * @throws {UsageError}
 */
export async function run<O extends Options>(
  title: Title,
  definition: Command<O>,
  words: string[],
  explain: (flag: string) => Promise<string | undefined>,
): Promise<number> {
  const { parser, keys } = build(title, definition);
  try {
    parser.parse(words, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return 0;
    throw new UsageError(await reword(error, explain));
  }
  const given = parser.opts() as Record<string, unknown>;
  const values = Object.fromEntries(
    Object.entries(definition.options).map(([key, { kind }]) => {
      return [key, given[keys.get(key)!] ?? (kind === "list" ? [] : undefined)];
    }),
  );
  return await definition.action(values as Values<O>, parser.args);
}

/** Whether a command has the option that is written as `flag`. */
export function hasOption(definition: Command, flag: string): boolean {
  return Object.values(definition.options).some(({ flags }) => {
    const { long, short } = new ParserOption(flags);
    return flag === long || flag === short;
  });
}

/** A command's options as completions show them: names without dashes. */
export function describeOptions(definition: Command): OptionDescription[] {
  return Object.values(definition.options).map(({ flags, description, kind, parse }) => {
    const { long, short } = new ParserOption(flags);
    const words = (parse as Choice).words ?? [];
    return { long: long!.slice(2), short: short?.slice(1), description, isFlag: kind === "flag", words };
  });
}

/** One option, for completions. */
export interface OptionDescription {
  readonly long: string;
  readonly short: string | undefined;
  readonly description: string;
  readonly isFlag: boolean;
  /** The values that it takes, where there are but a few. */
  readonly words: readonly string[];
}

/** A parser that takes a few words only. */
export interface Choice {
  readonly words?: readonly string[];
}

/** The page that `mqcat --help` shows. */
export function overview(
  about: string,
  commands: readonly Title[],
  version: string,
  footer: string,
): string {
  const parser = new Parser("mqcat").description(about).usage("COMMAND [options] [endpoint...]");
  parser.helpOption("-h, --help", "show this page; COMMAND -h shows a command's").version(
    version,
    "-V, --version",
  );
  parser.helpCommand(false);
  for (const { name, group, summary } of commands) {
    parser.addCommand(new Parser(name).description(summary).helpGroup(`${group}:`).helpOption(false));
  }
  return `${parser.helpInformation()}\n${footer}`;
}

/** The name in `names` that `typed` was probably meant to be. */
export function nearest(typed: string, names: readonly string[]): string | undefined {
  const ranked = names.map((name) => ({ name, distance: editDistance(typed, name) }));
  ranked.sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best !== undefined && best.distance <= Math.max(1, typed.length / 3) ? best.name : undefined;
}

function build<O extends Options>(
  { name, summary }: Title,
  definition: Command<O>,
): { parser: Parser; keys: Map<string, string> } {
  const parser = new Parser(`mqcat ${name}`).description(summary);
  const keys = new Map<string, string>();
  parser.exitOverride().configureOutput({ writeErr: () => {}, outputError: () => {} });
  parser.helpOption("-h, --help", "show this page");
  if (definition.passThrough) parser.passThroughOptions();
  if (definition.argument === undefined) parser.allowExcessArguments(false);
  else {
    const [syntax, description] = definition.argument;
    const words = syntax.split(" ");
    words.forEach((word, at) => parser.argument(word, at < words.length - 1 ? "" : description));
  }
  for (const [key, { flags, description, kind, group, parse }] of Object.entries(definition.options)) {
    const option = new ParserOption(flags, description).helpGroup(`${group}:`);
    keys.set(key, option.attributeName());
    if (kind !== "flag") {
      option.argParser((text: string, before: unknown) => {
        const value = checked(flags, text, parse);
        return kind === "list" ? [...(before as unknown[] ?? []), value] : value;
      });
    }
    parser.addOption(option);
  }
  parser.addHelpText("after", `\n${definition.examples.trimEnd()}\n\n${exitCodes.trimEnd()}`);
  return { parser, keys };
}

function checked(flags: string, text: string, parse: Parse<unknown>): unknown {
  try {
    return parse(text);
  } catch (error) {
    const name = new ParserOption(flags).long;
    throw new UsageError(`${name} '${text}': ${error instanceof Error ? error.message : error}`);
  }
}

async function reword(
  error: CommanderError,
  explain: (flag: string) => Promise<string | undefined>,
): Promise<string> {
  const [first, ...rest] = error.message.replace(/^error: /, "").split("\n");
  const unknown = /^unknown option '([^'=]+)/.exec(first!);
  const hint = unknown === null ? undefined : await explain(unknown[1]!);
  // An exact home elsewhere is a better hint than a similar name here.
  return hint === undefined ? [first, ...rest].join(" ") : `${first}: ${hint}`;
}

/** Levenshtein's distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}
