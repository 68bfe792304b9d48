/** The one place that knows the command parser, commander: another one can replace it in this file alone. */
import { Command as Parser, CommanderError, Option as ParserOption } from "commander";
import { isDamaged } from "./argument_bytes.ts";
import type { Command, Option, Title } from "./command.ts";
import { EXIT, UsageError } from "./errors.ts";
import { printPage } from "./page.ts";
import { phrase } from "./reporter.ts";
import { Session } from "./session.ts";
import type { Choice } from "./values.ts";

/**
 * Parses the words after the command's name and runs the command in a session.
 *
 * @param explain returns a hint for an option that the command does not have
 * @returns the exit code
 * @throws {UsageError} the words do not fit the options
 */
export async function run(
  title: Title,
  definition: Command,
  words: string[],
  explain: (flag: string) => Promise<string | undefined>,
): Promise<number> {
  const { parser, keys, warnings } = build(title, definition);
  const asksHelp = words.length === 1 && words[0] === "help" && !takesNames(definition);
  try {
    parser.parse(asksHelp ? ["--help"] : words, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === EXIT.done) {
      const { commandPage, pageStyle } = await import("./pages.ts");
      printPage(commandPage(title, definition, pageStyle("stdout"), error.code === "help-all"));
      return EXIT.done;
    }
    throw new UsageError(await reword(error, title, definition, explain));
  }
  const given = parser.opts() as Record<string, unknown>;
  const values: Record<string, unknown> = Object.fromEntries(
    Object.entries(definition.options).map(([key, { kind }]) => {
      return [key, given[keys.get(key)!] ?? (kind === "list" ? [] : undefined)];
    }),
  );
  const wrong = parser.args.find(isDamaged);
  if (wrong !== undefined) {
    const remedy = definition.passThrough ? " (put the command into a script)" : "";
    throw new UsageError(`argument '${wrong}' is not UTF-8${remedy}`);
  }
  const session = new Session(title.name, values);
  warnings.forEach(session.warn);
  return await session.run(async () => {
    if (values["wire"] === true) (await import("./wire.ts")).showWire(session.reporter);
    for (const [key, { prepare }] of Object.entries(definition.options)) {
      if (prepare !== undefined) values[key] = await prepare(values[key], values, parser.args);
    }
    return await definition.action({ session, values, operands: parser.args });
  });
}

/** Whether the word `help` may be an operand of a command: the name of a queue, for instance. */
function takesNames({ argument }: Command): boolean {
  return /(queue|exchange|name|command|context|file)\b/.test(argument?.[0] ?? "");
}

/** Whether a command has the option that is written as `flag`. */
export function hasOption(definition: Command, flag: string): boolean {
  return Object.values(definition.options).some(({ flags }) => {
    const { long, short } = new ParserOption(flags);
    return flag === long || flag === short;
  });
}

/** One option, for completions. */
export interface OptionDescription {
  /** Its key in the values of the action. */
  readonly key: string;
  readonly long: string | undefined;
  readonly short: string | undefined;
  readonly description: string;
  readonly kind: Option<unknown>["kind"];
  /** The placeholder of its value, `<file>`; empty for a switch. */
  readonly value: string;
  /** The allowed values, where they are a fixed set. */
  readonly words: readonly string[];
}

/** The options of a command as completions need them. */
export function describeOptions(definition: Command): OptionDescription[] {
  return Object.entries(definition.options).map(([key, { flags, description, kind, parse }]) => {
    const { long, short } = new ParserOption(flags);
    const value = /[<[].*$/.exec(flags)?.[0] ?? "";
    return { key, long, short, description, kind, value, words: (parse as Choice).words ?? [] };
  });
}

function build(
  title: Title,
  definition: Command,
): { parser: Parser; keys: Map<string, string>; warnings: Set<string> } {
  const parser = new Parser(`mqcat ${title.name}`);
  const keys = new Map<string, string>();
  const warnings = new Set<string>();
  parser.exitOverride().configureOutput({ writeErr: () => {}, outputError: () => {} });
  parser.helpOption(false);
  for (const [flags, event] of [["-h, --help", "help"], ["--help-all", "help-all"]] as const) {
    parser.option(flags).on(`option:${event}`, () => {
      throw new CommanderError(EXIT.done, event, "");
    });
  }
  if (definition.passThrough) parser.passThroughOptions();
  for (const word of definition.argument?.[0].split(" ") ?? []) parser.argument(word);
  for (const [key, given] of Object.entries(definition.options)) {
    const { flags, kind } = given;
    const option = new ParserOption(flags);
    keys.set(key, option.attributeName());
    const combined = (text: string, before: unknown) => {
      const value = checked(given, text);
      return kind === "list" ? [...(before as unknown[] ?? []), value] : value;
    };
    // A value in brackets, `[address]`, may be left out: it is then empty.
    if (option.optional) option.preset("");
    if (kind !== "flag") option.argParser(combined);
    parser.addOption(option);
    if (given.formerly === undefined) continue;
    const former = new ParserOption(option.flags.replace(/^.*--[a-z-]+/, given.formerly)).hideHelp();
    parser.addOption(former).on(`option:${former.name()}`, (text) => {
      warnings.add(`${former.long} is now ${option.long}`);
      const name = option.attributeName();
      parser.setOptionValue(name, combined(text, parser.getOptionValue(name)));
    });
  }
  return { parser, keys, warnings };
}

/** What may be the user and the password in a URL. */
const PASSWORD = /[^/,\s]+:[^/,\s]*@/g;

function checked({ flags, parse, bytes }: Option<unknown>, text: string): unknown {
  const name = new ParserOption(flags).long;
  if (isDamaged(text)) {
    throw new UsageError(`${name} '${text}' is not UTF-8${bytes === undefined ? "" : ` (${bytes})`}`);
  }
  try {
    return parse(text);
  } catch (error) {
    const shown = text.replace(PASSWORD, "…@");
    throw new UsageError(`${name} '${shown}': ${phrase(error)}`);
  }
}

async function reword(
  error: CommanderError,
  { name }: Title,
  { argument, choices = {} }: Command,
  explain: (flag: string) => Promise<string | undefined>,
): Promise<string> {
  const usage = `mqcat ${name} ${argument?.[0]}`;
  const excess = /^error: too many arguments.*Expected (\d+) arguments? but got \d+: ([^]*)\.$/.exec(
    error.message,
  );
  if (excess !== null) {
    const limit = Number(excess[1]);
    const remedy = usage.includes("[pattern]")
      ? " (quote a pattern for the shell: 'fail*')"
      : usage.startsWith("mqcat queue put ")
      ? " (-D TEXT sends a text)"
      : "";
    return `too many arguments: expected ${limit === 0 ? "options only" : limit}, received '${
      excess[2]
    }'${remedy}`;
  }
  const [first, ...rest] = error.message.replace(/^error: /, "").split("\n");
  if (error.code === "commander.missingArgument") {
    const words = choices[/'(.+)'/.exec(first!)?.[1] ?? ""];
    return `${first} (${usage}${words === undefined ? "" : `: ${words.join(", ")}`})`;
  }
  if (error.code === "commander.optionMissingArgument") {
    return first!.replace(/argument missing$/, "needs a value");
  }
  const unknown = /^unknown option '([^'=]+)/.exec(first!);
  const hint = unknown === null ? undefined : await explain(unknown[1]!);
  // The command that has the option is a better hint than a similar name here.
  return hint === undefined ? [first, ...rest].join(" ") : `${first}: ${hint}`;
}
