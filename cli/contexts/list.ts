/** The contexts as `mqcat context list` and `show` print them. */
import process from "node:process";
import { UsageError } from "../app/errors.ts";
import { type Config, type Entries, readUserConfig } from "./config.ts";
import { findProject } from "./trust.ts";

/** A context, without secrets. */
export interface Listed extends Entries {
  readonly name: string;
  readonly inUse: boolean;
  /** Where the password comes from. */
  readonly password?: string;
  readonly file: string;
}

/** The name of the context that commands use here, and what has chosen it. */
export function chosen(): { readonly name: string; readonly by: string } | undefined {
  const { MQCAT_CONTEXT } = process.env;
  if (MQCAT_CONTEXT) return { name: MQCAT_CONTEXT, by: "$MQCAT_CONTEXT" };
  const user = readUserConfig();
  for (const config of [findProject(user)?.config, user]) {
    if (config?.context !== undefined) return { name: config.context, by: config.file };
  }
  return undefined;
}

/** All contexts, sorted by their names. Those of the project hide those of the user. */
export function listContexts(): Listed[] {
  const user = readUserConfig();
  const inUse = chosen()?.name;
  const all = new Map<string, Listed>();
  for (const config of [user, findProject(user)?.config]) {
    for (const [name, entries] of config?.contexts ?? []) {
      all.set(name, { name, inUse: name === inUse, ...shown(entries), file: config!.file });
    }
  }
  return [...all.values()].sort((a, b) => a.name < b.name ? -1 : 1);
}

/** @throws {UsageError} the user's file has no such context */
export function requireContext({ contexts, file }: Config, name: string): void {
  if (contexts.has(name)) return;
  const others = contexts.size === 0 ? "" : `: it has ${[...contexts.keys()].join(", ")}`;
  throw new UsageError(`there is no context '${name}' in '${file}'${others}`);
}

/** The entries, with the source of the password instead of its command or file, which may themselves be secret. */
function shown(entries: Entries): Entries & { readonly password?: string } {
  const { "password-command": command, "password-file": file, ...rest } = entries;
  const urls = Object.values(rest).join(" ");
  const password = command !== undefined
    ? "password-command"
    : file !== undefined
    ? `password-file ${file}`
    : /\/\/[^/]*@/.test(urls)
    ? "$MQCAT_PASSWORD, else the terminal asks"
    : undefined;
  return { ...rest, ...(password === undefined ? {} : { password }) };
}
