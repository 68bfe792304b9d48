/**
 * The files of projects. Such a file may come with a repository of someone else, and could run a command, or send messages
 * and passwords to another host. So it has no effect until the user has allowed its present content.
 */
import { createHash } from "node:crypto";
import fs from "node:fs";
import { UsageError } from "../app/errors.ts";
import { type Config, parseConfig } from "./config.ts";
import { projectFile } from "./files.ts";

/** The nearest file of a project. */
export interface Project {
  readonly file: string;
  /** Undefined: the user has not allowed the file, or it has changed since. */
  readonly config: Config | undefined;
}

/** Finds the nearest file of a project. @throws {UsageError} it is allowed, and malformed */
export function findProject({ allowed }: Config): Project | undefined {
  const file = projectFile();
  if (file === undefined) return undefined;
  const real = fs.realpathSync(file);
  const text = fs.readFileSync(real, "utf8");
  return { file, config: allowed.get(real) === hashOf(text) ? parseConfig(real, text) : undefined };
}

/** Allows the present content of a file. @throws {UsageError} it cannot be read, or is malformed */
export function allow({ allowed }: Config, file: string): Config {
  if (!fs.existsSync(file)) throw new UsageError(`there is no file '${file}'`);
  const real = fs.realpathSync(file);
  const text = fs.readFileSync(real, "utf8");
  const config = parseConfig(real, text);
  if (config.allowed.size > 0) throw new UsageError(`'${file}': only the user's own file can allow others`);
  allowed.set(real, hashOf(text));
  return config;
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
