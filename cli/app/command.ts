/**
 * Commands are data: typed options in groups, examples, an action. The words are cliffy's (command, option, example,
 * group); `parser.ts` turns them into those of the command parser.
 */
import type { Session } from "./session.ts";
import { oneOf, type Parse, word } from "./values.ts";

/** An option whose value has the type `T`. */
export interface Option<T> {
  /** Such as `-n, --count <number>`. */
  readonly flags: string;
  readonly description: string;
  readonly kind: "flag" | "value" | "list";
  readonly group: string;
  /** Its long form in version 0.1.0, which still works, with a warning. */
  readonly formerly?: string | undefined;
  /** Whether only `--help-all` shows it. */
  readonly rare?: boolean;
  readonly parse: Parse<unknown>;
  /** Turns the value into that of the action, which may need files; runs in the session. */
  readonly prepare?: Prepare;
  /** How to pass bytes that are not UTF-8, for the error about an argument that has some. */
  readonly bytes?: string | undefined;
  /** Carries the type only. */
  readonly type?: T;
}

/** @param values the values of all options, as they were parsed */
export type Prepare = (
  value: unknown,
  values: Readonly<Record<string, unknown>>,
  operands: readonly string[],
) => Promise<unknown>;

export type Options = Record<string, Option<unknown>>;

/** The values of a set of options: undefined, or an empty list, for an option that was not given. */
export type Values<O extends Options> = { readonly [K in keyof O]: O[K] extends Option<infer T> ? T : never };

/** The name, group and summary of a command, known without loading it. */
export interface Title {
  readonly name: string;
  readonly group: string;
  readonly summary: string;
}

/** A row of the table of commands. A command is loaded only when it is needed. */
export interface CommandEntry extends Title {
  load(): Promise<{ default: Command }>;
}

/** One run of a command: its session, and the parsed command line. */
export interface Invocation<O extends Options> {
  readonly session: Session;
  readonly values: Values<O>;
  readonly operands: string[];
}

/**
 * The work of a command. It runs inside its session, which reports an error and turns the end into the exit code.
 *
 * @returns the exit code of a program that the command has run, or nothing
 */
export type Action<O extends Options> = (
  invocation: Invocation<O>,
) => Promise<number | void> | number | void;

/** A command as its file defines it. */
export interface CommandDefinition<O extends Options> {
  /** The operands, one word for each, such as `[endpoint...]`, and a description of the last one. */
  readonly argument?: readonly [syntax: string, description: string];
  readonly options: O;
  /** The diagnostic options of this command. Default: all of them. */
  readonly diagnostics?: readonly (keyof typeof DIAGNOSTICS)[];
  /** The allowed operands, by their placeholder in `argument`, where they are a fixed set. */
  readonly choices?: Readonly<Record<string, readonly string[]>>;
  /** What completions offer for an endpoint. Default: the schemes of ZeroMQ, and queues of brokers */
  readonly addresses?: { readonly schemes?: readonly string[]; readonly names?: "queues" | "exchanges" };
  /** Whether options after the first operand are operands, too: those of another program. */
  readonly passThrough?: boolean;
  /** The text of `cheats/NAME.md`, shown after the options. */
  readonly examples: string;
  readonly action: Action<O>;
}

/** A command, with all of its options. */
export interface Command extends Omit<CommandDefinition<Options>, "action" | "diagnostics"> {
  // deno-lint-ignore no-explicit-any -- each command has options of its own
  readonly action: Action<any>;
}

/** A switch. */
export function flag(flags: string, description: string): Option<boolean | undefined> {
  return { flags, description, kind: "flag", group: "", parse: () => true };
}

/** An option with one value. The last value wins. */
export function option<T>(
  flags: string,
  description: string,
  parse: Parse<T>,
  bytes?: string,
): Option<T | undefined> {
  return { flags, description, kind: "value", group: "", parse, bytes };
}

/** An option that may be repeated. */
export function list<T>(
  flags: string,
  description: string,
  parse: Parse<T>,
  bytes?: string,
): Option<T[]> {
  return { flags, description, kind: "list", group: "", parse, bytes };
}

/** Puts options under a heading of the help. */
export function group<O extends Options>(title: string, options: O): O {
  const grouped = Object.entries(options).map(([key, option]) => [key, { ...option, group: title }]);
  return Object.fromEntries(grouped) as O;
}

/** Marks options that few users need: only `--help-all` shows them. */
export function rare<O extends Options>(options: O): O {
  const marked = Object.entries(options).map(([key, option]) => [key, { ...option, rare: true }]);
  return Object.fromEntries(marked) as O;
}

/** The options of every command that say how much it writes to stderr, and how. */
const DIAGNOSTICS = group("Diagnostics", {
  quiet: flag("-q, --quiet", "print errors only"),
  verbose: flag("-v, --verbose", "print connections and disconnections, too"),
  ...rare({
    debug: flag("--debug", "print everything, with stack traces (also -vv)"),
    logFormat: option(
      "--log-format <format>",
      "format of the diagnostics: text or json (default: text)",
      oneOf("text", "json"),
    ),
    wire: flag("--wire", "print each protocol frame that is sent or received, without secrets"),
    summary: flag("--summary", "print the totals as one line of JSON at the end"),
  }),
});

/** The option of commands that listen or connect: a file that is written when they are ready. */
export const readiness = group("Endpoints", {
  readyFile: option(
    "--ready-file <path>",
    "write the endpoints, with the chosen ports, to this file or FIFO when ready",
    word,
  ),
});

/** Defines a command, and adds the diagnostic options. */
export function command<O extends Options>(
  { options, diagnostics, ...definition }: CommandDefinition<O>,
): Command {
  const names = diagnostics ?? Object.keys(DIAGNOSTICS) as (keyof typeof DIAGNOSTICS)[];
  const chosen = Object.fromEntries(names.map((name) => [name, DIAGNOSTICS[name]]));
  return { ...definition, options: { ...options, ...chosen } };
}
