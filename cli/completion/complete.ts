/** The candidates for the last word of a command line, from the definitions of the commands. */
import type { Command } from "../app/command.ts";
import { describeOptions, type OptionDescription } from "../app/parser.ts";
import { COMMANDS } from "../commands/mod.ts";
import { TOPICS } from "../help/topics.ts";
import type { Given } from "./live.ts";
import { type Candidate, valuesOf } from "./values.ts";

/** The options without a command. */
const ROOT_OPTIONS: readonly Candidate[] = [["--help", "show all commands"], [
  "--version",
  "show the version",
]];
const HELP_OPTIONS: readonly OptionDescription[] = [
  {
    key: "",
    long: "--help",
    short: "-h",
    description: "show the page of the command",
    kind: "flag",
    value: "",
    words: [],
  },
  {
    key: "",
    long: "--help-all",
    short: undefined,
    description: "show all options",
    kind: "flag",
    value: "",
    words: [],
  },
];

/**
 * Finds the candidates that begin with the last word.
 *
 * @param words the words after the name of the program; the last one may be empty
 */
export async function candidates(words: readonly string[]): Promise<Candidate[]> {
  // PowerShell cannot pass an empty word.
  const typed = (words.at(-1) ?? "").trimStart();
  const before = words.slice(0, -1);
  const found = await all(before, typed);
  const unique = new Map(found.filter(([word]) => word.startsWith(typed) || word.startsWith(":")));
  return [...unique];
}

async function all(before: readonly string[], typed: string): Promise<readonly Candidate[]> {
  const [first, second] = before;
  if (first === undefined) return typed.startsWith("-") ? ROOT_OPTIONS : [...firstWords(), HELP];
  if (first === "help") return second === undefined ? [...firstWords(), ...topics()] : secondWords(second);
  const name = [`${first} ${second}`, first].find((name) => COMMANDS.some((entry) => entry.name === name));
  if (name === undefined) return second === undefined ? secondWords(first) : [];
  const { default: definition } = await COMMANDS.find((entry) => entry.name === name)!.load();
  return await ofCommand(definition, before.slice(name.split(" ").length), typed);
}

const HELP: Candidate = ["help", "show the page of a command, or of a topic"];

/** The commands; those of two words by their first one. */
function firstWords(): Candidate[] {
  return COMMANDS.map(({ name, group, summary }) => {
    const [first, second] = name.split(" ");
    return second === undefined ? [name, summary] : [first!, `${group.toLowerCase()}: several commands`];
  });
}

function secondWords(first: string): Candidate[] {
  return COMMANDS.filter(({ name }) => name.startsWith(`${first} `))
    .map(({ name, summary }) => [name.slice(first.length + 1), summary]);
}

function topics(): Candidate[] {
  return TOPICS.map((topic) => [topic, "a topic"]);
}

async function ofCommand(
  definition: Command,
  before: readonly string[],
  typed: string,
): Promise<readonly Candidate[]> {
  const options = [...describeOptions(definition), ...HELP_OPTIONS];
  const { given, operands, pending, ended } = read(options, before, definition.passThrough ?? false);
  const place = { definition, given, operands };
  if (pending !== undefined) return await valuesOf(pending.value, typed, place, pending.words);
  const assigned = ended ? null : /^(--[a-z-]+=)([^]*)$/.exec(typed);
  if (assigned !== null) {
    const [, start = "", value = ""] = assigned;
    const option = options.find(({ long }) => `${long}=` === start);
    if (option === undefined) return [];
    const values = await valuesOf(option.value, value, place, option.words);
    return values.map(([word, text]) => [word.startsWith(":") ? word : `${start}${word}`, text]);
  }
  if (typed.startsWith("-") && !ended) {
    const left = options.filter(({ key, kind }) => kind === "list" || !(key in given));
    return left.map(({ long, short, description }) => [long ?? short!, description]);
  }
  if (definition.passThrough && operands.length > 0) return [[":files", ""]];
  const placeholders = definition.argument?.[0].split(" ") ?? [];
  // The last operand may repeat.
  const last = placeholders.at(-1)?.includes("...") ? placeholders.at(-1) : undefined;
  return await valuesOf(placeholders[operands.length] ?? last ?? "", typed, place);
}

/** What the words before the last one mean. */
interface Line {
  /** The values of options by their keys. */
  readonly given: Given;
  readonly operands: string[];
  /** The option whose value the last word is. */
  readonly pending: OptionDescription | undefined;
  /** Whether no option may follow. */
  readonly ended: boolean;
}

function read(options: readonly OptionDescription[], before: readonly string[], passThrough: boolean): Line {
  const given: Record<string, string> = {};
  const operands: string[] = [];
  let pending: OptionDescription | undefined;
  let ended = false;
  for (const word of before) {
    if (pending !== undefined) {
      given[pending.key] = word;
      pending = undefined;
    } else if (ended || !/^-./.test(word)) {
      operands.push(word);
      ended ||= passThrough;
    } else if (word === "--") {
      ended = true;
    } else {
      const [, name, value] = /^(--[^=]+|-.)=?([^]*)$/.exec(word)!;
      const option = options.find(({ long, short }) => name === long || name === short);
      if (option === undefined) continue;
      given[option.key] = value!;
      // `-qn 3` ends with an option that needs a value.
      const last = options.find(({ short }) => short === `-${word.at(-1)}`);
      if (option.kind !== "flag") pending = value === "" ? option : undefined;
      else if (!word.startsWith("--") && last?.kind !== "flag") pending = last;
    }
  }
  return { given, operands, pending, ended };
}
