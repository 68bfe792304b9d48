/** The program after its entry point: finds the command, loads only that one, and runs it. */
import denoJson from "../deno.json" with { type: "json" };
import exitCodes from "./cheats/exit-codes.md" with { type: "text" };
import { hasOption, nearest, overview, run } from "./app/command.ts";
import { exitCodeOf, UsageError } from "./app/errors.ts";
import { printPage } from "./app/page.ts";
import { phrase, Reporter } from "./app/reporter.ts";
import { ALIASES, COMMANDS } from "./commands/mod.ts";

const ABOUT = "netcat for messaging patterns: speaks sockets, ZeroMQ, AMQP, MQTT and STOMP from a shell";
const FOOTER =
  `Endpoints: tcp://host:port, ipc:///path, ipc://@abstract, ws://host:port/path; host:port and :port are tcp, :port
is loopback. Of brokers: amqp://host//NAME, mqtt://host/TOPIC, stomp://host/DESTINATION; amqp:NAME is at $AMQP_URL.
${exitCodes.trimEnd()}`;

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
  if (name === undefined || name === "-h" || name === "--help" || name === "help" && rest.length === 0) {
    const page = overview(ABOUT, COMMANDS, denoJson.version, FOOTER);
    (name === undefined ? console.error : printPage)(page);
    return name === undefined ? exitCodeOf(new UsageError()) : 0;
  }
  if (name === "help") return await dispatch([...rest, "--help"]);
  if (name === "complete") {
    // The scripts of `mqcat completion` call this.
    const { complete } = await import("./commands/completion.ts");
    await complete(rest[0] === "--" ? rest.slice(1) : rest, COMMANDS);
    return 0;
  }
  const family = COMMANDS.filter((entry) => entry.name.startsWith(`${name} `));
  if (family.length > 0) {
    const asked = rest.length > 0;
    (asked ? printPage : console.error)(overview(ABOUT, family, denoJson.version, FOOTER));
    return asked ? 0 : exitCodeOf(new UsageError());
  }
  const meant = ALIASES[name] ?? name;
  const entry = COMMANDS.find((entry) => entry.name === meant);
  if (entry === undefined) {
    const similar = nearest(name, [...COMMANDS.map((entry) => entry.name), ...Object.keys(ALIASES)]);
    throw new UsageError(
      `there is no command '${name}'${similar ? ` (did you mean ${similar}?)` : ""}; mqcat --help lists them`,
    );
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
  const isFamily = COMMANDS.some(({ name }) => name.startsWith(`${first} `));
  const asksHelp = second === undefined || second === "-h" || second === "--help";
  return isFamily && !asksHelp ? [`${first} ${second}`, ...rest] : words;
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
