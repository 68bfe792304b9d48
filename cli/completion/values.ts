/** The values of options and operands, by their placeholders: `<file>`, `[endpoint...]`. */
import fs from "node:fs";
import path from "node:path";
import type { Command } from "../app/command.ts";
import type { Given } from "./live.ts";

/** A word, and its description; or `:files` and the like. */
export type Candidate = readonly [word: string, description: string];

/** The command line around a word. */
interface Place {
  readonly definition: Command;
  readonly given: Given;
  readonly operands: readonly string[];
}

type Source = (typed: string, place: Place) => readonly Candidate[] | Promise<readonly Candidate[]>;

const FILES: Source = () => [[":files", ""]];

/** The placeholders whose values are known. */
const SOURCES: Readonly<Record<string, Source>> = {
  file: FILES,
  path: FILES,
  directory: () => [[":directories", ""]],
  command: () => [[":commands", ""]],
  endpoint: endpoints,
  url: (typed, place) =>
    startsOf(
      ["amqp://", "amqps://", ...isFor(place, "mqtt") ? ["mqtt://", "mqtts://", "stomp://"] : []],
      typed,
    ),
  queue: (_, { given }) => names("queues", given),
  exchange: (_, { given }) => names("exchanges", given),
  async context() {
    const { listContexts } = await import("../contexts/list.ts");
    return listContexts().map(({ name, amqp, mqtt, stomp }) => [name, amqp ?? mqtt ?? stomp ?? ""]);
  },
};

/** The schemes of endpoints. */
const ZEROMQ = ["tcp://", "ipc:///", "ws://", "wss://"];
const BROKERS = [
  "amqp:",
  "mqtt:",
  "stomp:",
  "amqp://",
  "amqps://",
  "mqtt://",
  "mqtts://",
  "stomp://",
  "stomps://",
];

/**
 * The values of a placeholder.
 *
 * @param placeholder with its brackets, `<key|file>`
 * @param words the words to choose from, if the value is one of a few
 */
export async function valuesOf(
  placeholder: string,
  typed: string,
  place: Place,
  words: readonly string[] = [],
): Promise<readonly Candidate[]> {
  if (words.length > 0) return words.map((word) => [word, ""]);
  const found: Candidate[] = [];
  for (const kind of placeholder.match(/[a-z]+/g) ?? []) {
    const choice = place.definition.choices?.[kind];
    if (choice !== undefined) found.push(...choice.map((word) => [word, ""] as const));
    else found.push(...await SOURCES[kind]?.(typed, place) ?? []);
  }
  return found;
}

async function endpoints(typed: string, place: Place): Promise<readonly Candidate[]> {
  const [, sign = "", address = ""] = /^([@>]?)([^]*)$/.exec(typed)!;
  const found = await addresses(address, place);
  return found.map(([word, text]) => [`${sign}${word}`, text]);
}

async function addresses(typed: string, place: Place): Promise<readonly Candidate[]> {
  const local = /^(?:ipc|unix):\/\/(?=\/)/.exec(typed)?.[0];
  if (local !== undefined) return socketPaths(local, typed.slice(local.length));
  const { addresses: { schemes, names: kind = "queues" } = {} } = place.definition;
  if (isFor(place, "context")) {
    // `amqp:jobs` is at the broker in use, `amqp://host//jobs` at another one.
    const [, start, url] = /^(amqp:(?!\/)|(amqps?:\/\/[^/]+\/[^/]*)\/)/.exec(typed) ?? [];
    if (start !== undefined) {
      const found = await names(kind, url === undefined ? place.given : { ...place.given, url });
      return found.map(([word, text]) => [`${start}${word}`, text]);
    }
  }
  return startsOf(schemes ?? [...ZEROMQ, ...isFor(place, "context") ? BROKERS : []], typed);
}

/** Whether a command has an option, or a group of options with this name. */
function isFor({ definition }: Place, name: string): boolean {
  return name in definition.options ||
    Object.values(definition.options).some(({ group }) => group.includes(name));
}

function startsOf(starts: readonly string[], typed: string): Candidate[] {
  return starts.filter((start) => start.startsWith(typed)).map((start) => [start, ""]);
}

/** The sockets and folders at a path. */
function socketPaths(scheme: string, typed: string): Candidate[] {
  const folder = typed.slice(0, typed.lastIndexOf("/") + 1);
  let entries: fs.Dirent[];
  try {
    entries = fs.readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
  return entries.flatMap((entry): Candidate[] => {
    const word = `${scheme}${path.posix.join(folder, entry.name)}`;
    if (entry.isDirectory()) return [[`${word}/`, ""]];
    return !entry.isFile() && isSocket(word.slice(scheme.length)) ? [[word, "a socket"]] : [];
  });
}

/** Not every runtime knows the kind from the entry of the folder. */
function isSocket(file: string): boolean {
  const { S_IFMT, S_IFSOCK } = fs.constants;
  return ((fs.statSync(file, { throwIfNoEntry: false })?.mode ?? 0) & S_IFMT) === S_IFSOCK;
}

async function names(kind: "queues" | "exchanges", given: Given): Promise<Candidate[]> {
  const { liveNames } = await import("./live.ts");
  return (await liveNames(kind, given)).map((name) => [name, kind === "queues" ? "a queue" : "an exchange"]);
}
