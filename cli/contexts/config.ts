/** Reads, checks and writes the files of contexts. */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { parse, stringify } from "smol-toml";
import { messageOf } from "../../lib/errors.ts";
import { phrase } from "../app/reporter.ts";
import { BROKER_SYSTEMS, type BrokerSystem } from "../../lib/patterns/address.ts";
import { UsageError } from "../app/errors.ts";
import { userFile } from "./files.ts";

/** The keys of a context whose values are paths. */
const PATHS = ["password-file", "cacert", "cert", "key"] as const;
const SYSTEMS = Object.keys(BROKER_SYSTEMS) as BrokerSystem[];
const KEYS = [...SYSTEMS, "http", "password-command", ...PATHS] as const;

/** The entries of a context, as its file has them. */
export type Entries = Partial<Record<typeof KEYS[number], string>>;

/** The content of a file. */
export interface Config {
  readonly file: string;
  /** The name of the context in use. */
  context: string | undefined;
  readonly contexts: Map<string, Entries>;
  /** The files of projects that the user has allowed, and the hash of the content that was allowed. */
  readonly allowed: Map<string, string>;
}

/** Reads the user's file; without one, there are no contexts. @throws {UsageError} it is malformed, or others can write it */
export function readUserConfig(): Config {
  const file = userFile();
  let text = "";
  try {
    const mode = fs.statSync(file).mode;
    // It names commands to run.
    if (process.platform !== "win32" && (mode & 0o022) !== 0) {
      throw new UsageError(`'${file}' can be changed by other users: chmod 600 it`);
    }
    text = fs.readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof UsageError) throw error;
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") {
      throw new UsageError(`'${file}': ${phrase(error)}`);
    }
  }
  return parseConfig(file, text);
}

/** @throws {UsageError} the text is not TOML, or has unknown or wrong entries; the message shows no value */
export function parseConfig(file: string, text: string): Config {
  const wrong = (what: string) => new UsageError(`'${file}': ${what}`);
  let root: Record<string, unknown>;
  try {
    root = parse(text);
  } catch (error) {
    // The message ends with lines of the file, which may be secret.
    throw wrong(messageOf(error).split("\n")[0]!);
  }
  const { context, contexts = {}, allowed = {}, ...rest } = root;
  const unknown = Object.keys(rest)[0];
  if (unknown !== undefined) {
    throw wrong(`there is no key '${unknown}' (try context, or a table [contexts.NAME])`);
  }
  if (context !== undefined && typeof context !== "string") {
    throw wrong("'context' must be the name of a context");
  }
  if (!isTable(contexts) || !isTable(allowed)) throw wrong("'contexts' and 'allowed' must be tables");
  const found = new Map(
    Object.entries(contexts).map(([name, entries]) => [name, checked(name, entries, wrong)]),
  );
  const hashes = Object.entries(allowed).map(([path, hash]) => [path, String(hash)] as const);
  return { file, context, contexts: found, allowed: new Map(hashes) };
}

function checked(name: string, entries: unknown, wrong: (what: string) => UsageError): Entries {
  if (!isTable(entries)) throw wrong(`context '${name}' must be a table [contexts.${name}]`);
  for (const [key, value] of Object.entries(entries)) {
    if (!(KEYS as readonly string[]).includes(key)) {
      throw wrong(`context '${name}' has no key '${key}': there are ${KEYS.join(", ")}`);
    }
    if (typeof value !== "string" || value === "") {
      throw wrong(`'${key}' of context '${name}' must be a text`);
    }
  }
  const { http, ...urls } = entries as Entries;
  for (const system of SYSTEMS) {
    const url = urls[system];
    if (url !== undefined && !BROKER_SYSTEMS[system].schemes.includes(url.split("://")[0]!)) {
      throw wrong(`'${system}' of context '${name}' must be a URL, ${system}://… or ${system}s://…`);
    }
    refusePassword(name, url, wrong);
  }
  refusePassword(name, http, wrong);
  return entries as Entries;
}

function refusePassword(name: string, url = "", wrong: (what: string) => UsageError): void {
  // The password itself may have a slash or an @.
  if (/^[^/]*\/\/[^@]*:[^]*@/.test(url)) {
    throw wrong(
      `the URL of context '${name}' has a password: remove it there, and use --password-command, --password-file, ` +
        "$MQCAT_PASSWORD, or the prompt of a terminal",
    );
  }
}

/** Checks the entries of a new context. @throws {UsageError} a URL is wrong, or has a password */
export function checkEntries(name: string, entries: Entries): void {
  checked(name, entries, (what) => new UsageError(what));
}

/** How long another process may take to change the user's file, and how often it is looked for, in milliseconds. */
const LOCK_MS = 5000;
const LOOK_MS = 10;

/**
 * Changes the user's file; other processes that change it wait.
 *
 * @returns the result of `change`
 * @throws {UsageError} see `readUserConfig`
 * @throws the error of `change`: the file stays as it is
 */
export async function changeUserConfig<T>(change: (config: Config) => T): Promise<T> {
  const lock = `${userFile()}.lock`;
  try {
    fs.mkdirSync(path.dirname(lock), { recursive: true, mode: 0o700 });
  } catch (error) {
    throw cannotWrite(error);
  }
  for (const end = Date.now() + LOCK_MS;;) {
    try {
      fs.mkdirSync(lock);
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw cannotWrite(error);
    }
    // Its process was killed.
    if (Date.now() >= end) break;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  try {
    const config = readUserConfig();
    const result = change(config);
    writeConfig(config);
    return result;
  } finally {
    fs.rmSync(lock, { recursive: true, force: true });
  }
}

/** Writes the user's file, for this user only. A symbolic link stays one. */
function writeConfig({ file, context, contexts, allowed }: Config): void {
  const text = stringify({
    ...(context === undefined ? {} : { context }),
    contexts: Object.fromEntries(contexts),
    ...(allowed.size === 0 ? {} : { allowed: Object.fromEntries(allowed) }),
  });
  try {
    const target = fs.existsSync(file) ? fs.realpathSync(file) : file;
    // A reader must never see an incomplete file.
    const draft = `${target}.${crypto.randomUUID()}.tmp`;
    fs.writeFileSync(draft, `# Contexts of mqcat: mqcat context -h\n\n${text}`, { flag: "wx", mode: 0o600 });
    fs.renameSync(draft, target);
  } catch (error) {
    throw cannotWrite(error);
  }
}

function cannotWrite(error: unknown): Error {
  return new Error(`'${userFile()}' cannot be written: ${phrase(error)}`, { cause: error });
}

/** The path of a file in a context: `~/` is the home directory, and others are relative to the file of the context. */
export function pathIn(config: string, file: string): string {
  return file.startsWith("~/")
    ? path.join(os.homedir(), file.slice(2))
    : path.resolve(path.dirname(config), file);
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
