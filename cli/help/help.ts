/** `mqcat help`, the page of all commands, and the first page: all that is not about one command. */
import denoJson from "../../deno.json" with { type: "json" };
import { exitCodeOf, UsageError } from "../app/errors.ts";
import { nearest } from "../app/nearest.ts";
import { printPage } from "../app/page.ts";
import { markdownPage, namesPage, overview, pageStyle } from "../app/pages.ts";
import { wrap } from "../app/terminal.ts";
import { ALIASES, COMMANDS } from "../commands/mod.ts";
import { TOPICS, topicText } from "./topics.ts";

const ABOUT = "netcat for messaging patterns: sockets, ZeroMQ, AMQP, MQTT and STOMP from a shell";
/** What the page of a family begins with. */
const FAMILIES: Readonly<Record<string, string>> = {
  queue: "fill, read, repair and watch the queues of a broker, or be the broker",
  context: "a context names a broker and its login, so that commands do not need its address",
};
const TOPIC_NAMES = TOPICS.join(", ");
const FOOTER = `Topics: mqcat help TOPIC, with ${TOPIC_NAMES}.`;

const FIRST = `  mqcat pull :5555                    print the messages that arrive at a port
  seq 3 | mqcat push :5555            send three messages there, over ZeroMQ
  mqcat sub mqtt://localhost/#        print the messages of an MQTT broker
  mqcat push amqp://localhost//jobs   put each line into a queue of RabbitMQ
  mqcat queue run -- npm test         run a command with its own broker`;

/** Runs another command line. */
type Dispatch = (words: string[]) => Promise<number>;

/**
 * Prints the page that the words ask for.
 *
 * @param words none, `help WORDS`, `--help`, `queue` or `queue help WORDS`
 */
export async function help(words: readonly string[], dispatch: Dispatch): Promise<number> {
  const [first, second, ...rest] = words;
  if (first === undefined) {
    console.error(firstPage());
    return exitCodeOf(new UsageError());
  }
  const family = COMMANDS.filter(({ name }) => name.startsWith(`${first} `));
  if (family.length > 0) {
    if (second === "help" && rest.length > 0) return await dispatch([first, ...rest, "--help"]);
    const page = (stream: "stdout" | "stderr") =>
      overview(`${first} COMMAND`, FAMILIES[first] ?? ABOUT, family, FOOTER, pageStyle(stream));
    if (second !== undefined) printPage(page("stdout"));
    else console.error(page("stderr"));
    return second === undefined ? exitCodeOf(new UsageError()) : 0;
  }
  const topic = first === "help" ? await topicText(second ?? "") : undefined;
  if (topic !== undefined && rest.length > 0) {
    throw new UsageError(`help is about one topic: mqcat help ${second}`);
  }
  if (topic !== undefined) printPage(markdownPage(topic, pageStyle("stdout")));
  else if (first === "help" && second !== undefined && second !== "help") {
    return await about([second, ...rest], dispatch);
  } else printPage(overview("COMMAND", ABOUT, COMMANDS, FOOTER, pageStyle("stdout")));
  return 0;
}

/** The help of a command. */
async function about(words: string[], dispatch: Dispatch): Promise<number> {
  const [first = ""] = words;
  const names = [...COMMANDS.map(({ name }) => name), ...Object.keys(ALIASES)];
  const length = names.includes(first) ? 1 : names.some((name) => name.startsWith(`${first} `)) ? 2 : 0;
  if (length > 0 && words.length > length) {
    throw new UsageError(`help is about one command: mqcat help ${words.slice(0, length).join(" ")}`);
  }
  if (length > 0) return await dispatch([...words, "--help"]);
  const similar = nearest(first, [...TOPICS, ...COMMANDS.map(({ name }) => name)]);
  const meant = similar === undefined ? "" : ` (did you mean ${similar}?)`;
  throw new UsageError(`there is no command or topic '${first}'${meant}; the topics are ${TOPIC_NAMES}`);
}

/** The message that a command does not exist. */
export function unknownCommand(typed: string): string {
  if (typed.startsWith("-")) {
    return `there is no option '${typed}' before a command (try mqcat COMMAND ${typed}, or mqcat --help)`;
  }
  const names = COMMANDS.map(({ name }) => name);
  const known = [...names, ...Object.keys(ALIASES)];
  const family = /^\S+ /.exec(typed)?.[0] ?? "";
  const siblings = family === ""
    ? [...known, ...known.map((name) => name.split(" ")[0]!)]
    : known.filter((name) => name.startsWith(family)).map((name) => name.slice(family.length));
  const near = nearest(typed.slice(family.length), siblings);
  // `mqcat purge` for `mqcat queue purge`.
  const similar = names.find((name) => name.endsWith(` ${typed}`)) ??
    (near && family + near) ??
    (TOPICS.includes(typed) ? `help ${typed}` : undefined);
  const meant = similar === undefined ? "" : ` (did you mean ${similar}?)`;
  return `there is no command '${typed}'${meant}; mqcat --help lists them`;
}

/** A page for a small terminal. */
function firstPage(): string {
  const style = pageStyle("stderr");
  const pointers =
    `mqcat --help shows all commands, mqcat COMMAND -h the options of one, and mqcat help TOPIC explains ${TOPIC_NAMES}.`;
  return `${wrap(`mqcat ${denoJson.version}, ${ABOUT}`, style.width)}

${FIRST}

${namesPage(COMMANDS, style)}

${wrap(pointers, style.width)}`;
}
