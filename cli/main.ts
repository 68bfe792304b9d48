/** The entry: finds the command, loads only that, runs it, and exits with its code. */
import process from "node:process";
import denoJson from "../deno.json" with { type: "json" };
import { type Command, hasOption, nearest, overview, run, type Title } from "./command.ts";
import { exitCodeOf, UsageError } from "./errors.ts";
import { phrase, Reporter } from "./reporter.ts";

interface Entry extends Title {
  // deno-lint-ignore no-explicit-any -- each command has options of its own
  load(): Promise<{ default: Command<any> }>;
}

const COMMANDS: readonly Entry[] = [
  {
    name: "echo-server",
    group: "Sockets",
    summary: "send every byte back",
    load: () => import("./commands/echo_server.ts"),
  },
  {
    name: "echo-client",
    group: "Sockets",
    summary: "send stdin to a socket, and print what comes back",
    load: () => import("./commands/echo_client.ts"),
  },
  {
    name: "pub",
    group: "ZeroMQ",
    summary: "publish each line to all subscribers",
    load: () => import("./commands/pub.ts"),
  },
  {
    name: "sub",
    group: "ZeroMQ",
    summary: "print what publishers send",
    load: () => import("./commands/sub.ts"),
  },
  {
    name: "push",
    group: "ZeroMQ",
    summary: "send each line to one of the pullers, in turn",
    load: () => import("./commands/push.ts"),
  },
  {
    name: "pull",
    group: "ZeroMQ",
    summary: "print what pushers send, or run a command for each message",
    load: () => import("./commands/pull.ts"),
  },
  {
    name: "req",
    group: "ZeroMQ",
    summary: "send each line as a request and print its reply",
    load: () => import("./commands/req.ts"),
  },
  {
    name: "rep",
    group: "ZeroMQ",
    summary: "answer requests: with --echo, --exec, -D, or line by line from stdin",
    load: () => import("./commands/rep.ts"),
  },
];

const ABOUT = "netcat for messaging patterns: speaks sockets and ZeroMQ from a shell";
const FOOTER =
  `Endpoints: tcp://host:port, ipc:///path, ipc://@abstract; host:port and :port are tcp, :port is loopback.
Exit codes: 0 done, 1 failure, 2 usage, 3 timeout, 4 refused, 5 not everything was delivered, 6 --exec failed,
128+n by signal.`;

async function main(words: string[]): Promise<number> {
  const [name, ...rest] = words;
  if (name === undefined || name === "-h" || name === "--help" || name === "help" && rest.length === 0) {
    console.log(overview(ABOUT, COMMANDS, denoJson.version, FOOTER));
    return name === undefined ? exitCodeOf(new UsageError()) : 0;
  }
  if (name === "-V" || name === "--version") {
    console.log(`mqcat ${denoJson.version}`);
    return 0;
  }
  if (name === "help") return await main([rest[0]!, "--help"]);
  const entry = COMMANDS.find((entry) => entry.name === name);
  if (entry === undefined) {
    const meant = nearest(name, COMMANDS.map((entry) => entry.name));
    throw new UsageError(
      `there is no command '${name}'${meant ? ` (did you mean ${meant}?)` : ""}; mqcat --help lists them`,
    );
  }
  const { default: definition } = await entry.load();
  try {
    return await run(entry, definition, expand(rest), whoHas);
  } catch (error) {
    new Reporter(name, "normal", "text").error(new Error(phrase(error)));
    return exitCodeOf(error);
  }
}

/** `-vv` is `--debug`: the parser knows single letters only. */
function expand(words: string[]): string[] {
  const end = words.indexOf("--");
  return words.map((word, at) => word === "-vv" && (end < 0 || at < end) ? "--debug" : word);
}

/** A hint for an option that a command does not have: which commands do. */
async function whoHas(flag: string): Promise<string | undefined> {
  const owners: string[] = [];
  for (const { name, load } of COMMANDS) {
    if (hasOption((await load()).default, flag)) owners.push(name);
  }
  return owners.length === 0 ? undefined : `${owners.join(", ")} ${owners.length === 1 ? "has" : "have"} it`;
}

try {
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  new Reporter("", "normal", "text").error(new Error(phrase(error)));
  process.exit(exitCodeOf(error));
}
