/** The program after its entry point: finds the command, loads only that one, and runs it. */
import { hasOption, run } from "./app/parser.ts";
import { exitCodeOf, UsageError } from "./app/errors.ts";
import { printPage } from "./app/page.ts";
import { phrase, Reporter } from "./app/reporter.ts";
import { ALIASES, COMMANDS } from "./commands/mod.ts";

/** The most commands that a hint lists. */
const MAX_OWNERS = 4;

/**
 * Runs the command that the words name.
 *
 * @returns the exit code
 */
export async function main(words: string[]): Promise<number> {
  try {
    return await dispatch(words);
  } catch (error) {
    return fail("", error);
  }
}

/**
 * Reports an error that ended the program.
 *
 * @returns the exit code
 */
export function fail(command: string, error: unknown): number {
  new Reporter(command, "normal", "text").error(new Error(phrase(error)));
  return exitCodeOf(error);
}

async function dispatch(words: string[]): Promise<number> {
  const [name, ...rest] = named(words);
  if (name === undefined || isHelp(name) || isFamily(name)) {
    const { help } = await import("./help/help.ts");
    return await help(words, dispatch);
  }
  if (name === "complete") {
    // The scripts of `mqcat completion` call this.
    const { candidates } = await import("./completion/complete.ts");
    const found = await candidates(rest[0] === "--" ? rest.slice(1) : rest);
    if (found.length > 0) printPage(found.map(([word, text]) => `${word}\t${text}`).join("\n"));
    return 0;
  }
  const meant = ALIASES[name] ?? name;
  const entry = COMMANDS.find((entry) => entry.name === meant);
  if (entry === undefined) {
    const { unknownCommand } = await import("./help/help.ts");
    throw new UsageError(unknownCommand(name));
  }
  const { default: definition } = await entry.load();
  try {
    return await run(entry, definition, expand(rest), whoHas);
  } catch (error) {
    return fail(entry.name, error);
  }
}

/** Joins names of two words, `queue put`, except in a request for help. */
function named(words: string[]): string[] {
  const [first, second, ...rest] = words;
  return isFamily(first) && second !== undefined && !isHelp(second) ? [`${first} ${second}`, ...rest] : words;
}

/** Whether a word is the first one of several commands. */
function isFamily(word: string | undefined): boolean {
  return COMMANDS.some(({ name }) => name.startsWith(`${word} `));
}

function isHelp(word: string): boolean {
  return ["-h", "--help", "--help-all", "help"].includes(word);
}

/** Replaces `-vv` by `--debug`, because the parser supports only single letters. */
function expand(words: string[]): string[] {
  const end = words.indexOf("--");
  return words.map((word, at) => word === "-vv" && (end < 0 || at < end) ? "--debug" : word);
}

/** A hint for an option that a command does not have: the commands that have it. */
async function whoHas(flag: string): Promise<string | undefined> {
  const owners: string[] = [];
  for (const { name, load } of COMMANDS) {
    if (hasOption((await load()).default, flag)) owners.push(name);
  }
  if (owners.length === 0) return undefined;
  if (owners.length > MAX_OWNERS) return `${owners.length} other commands have it, such as ${owners[0]}`;
  return `${owners.join(", ")} ${owners.length === 1 ? "has" : "have"} it`;
}
