/** The context of a command: a named broker, with its login. */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import type { BrokerSystem } from "../../lib/patterns/address.ts";
import { UsageError } from "../app/errors.ts";
import { passwordOf } from "../app/environment.ts";
import { phrase } from "../app/reporter.ts";
import type { Context, ContextTls } from "./contract.ts";
import { type Config, type Entries, pathIn, readUserConfig } from "./config.ts";
import { askPassword } from "./prompt.ts";
import { findProject, type Project } from "./trust.ts";

/** Who named a context on the command line or in the environment: `--context`, `$MQCAT_CONTEXT`. */
export interface Choice {
  readonly name: string;
  readonly by: string;
}

/**
 * Finds the context that was named, else the one of the project, else the one in use.
 *
 * @param limit the time limit of its password-command, in milliseconds. Default: none
 * @returns undefined when there is none
 * @throws {UsageError} the named context does not exist, or a file is malformed
 */
export function chooseContext(choice: Choice | undefined, limit?: number): Context | undefined {
  const user = readUserConfig();
  const project = findProject(user);
  const from = { user, project, limit };
  if (choice !== undefined) return found(choice, true, from);
  const { context } = project?.config ?? {};
  if (project !== undefined && project.config === undefined) return new ForbiddenContext(project.file);
  if (context !== undefined) return found({ name: context, by: project!.file }, false, from);
  if (user.context === undefined) return undefined;
  return found({ name: user.context, by: "mqcat context use" }, false, from);
}

/** The files of contexts, and the time limit of their commands, in milliseconds. */
interface Sources {
  readonly user: Config;
  readonly project: Project | undefined;
  readonly limit: number | undefined;
}

function found({ name, by }: Choice, isExplicit: boolean, { user, project, limit }: Sources): Context {
  for (const config of [project?.config, user]) {
    const entries = config?.contexts.get(name);
    if (entries !== undefined) {
      return new StoredContext({ name, by, isExplicit, file: config!.file }, entries, limit);
    }
  }
  const names = [...project?.config?.contexts.keys() ?? [], ...user.contexts.keys()];
  const remedy = project !== undefined && project.config === undefined
    ? notAllowed(project.file)
    : names.length === 0
    ? "make one: mqcat context add NAME --url URL"
    : `there are ${names.join(", ")}`;
  throw new UsageError(`there is no context '${name}' (${by}): ${remedy}`);
}

function notAllowed(file: string): string {
  return `'${file}' is not used until you have read it and allowed it: mqcat context allow`;
}

class StoredContext implements Context {
  readonly name: string;
  readonly by: string;
  readonly isExplicit: boolean;
  readonly file: string;
  readonly #entries: Entries;
  readonly #limit: number | undefined;
  /** The output of the command, or the answer at the prompt. */
  #secret: string | undefined;

  constructor(
    { name, by, isExplicit, file }: Pick<Context, "name" | "by" | "isExplicit" | "file">,
    entries: Entries,
    limit: number | undefined,
  ) {
    this.name = name;
    this.by = by;
    this.isExplicit = isExplicit;
    this.file = file;
    this.#entries = entries;
    this.#limit = limit;
  }

  url(system: BrokerSystem): string {
    const url = this.#entries[system];
    if (url !== undefined) return url;
    throw new UsageError(`context '${this.name}' has no ${system} URL: add it to '${this.file}'`);
  }

  get http(): string | undefined {
    return this.#entries.http;
  }

  get tls(): ContextTls {
    const { cacert, cert, key } = this.#entries;
    const resolve = (file: string | undefined) => file === undefined ? undefined : pathIn(this.file, file);
    return { cacert: resolve(cacert), cert: resolve(cert), key: resolve(key) };
  }

  password(system: BrokerSystem, mayAsk: boolean): string | undefined {
    const { "password-command": command, "password-file": file } = this.#entries;
    if (command !== undefined) return this.#secret ??= this.#run(command);
    if (file !== undefined) return this.#read(pathIn(this.file, file));
    if (!isNamed(this.url(system))) return undefined;
    // An empty password is never the right one of a login that needs one.
    const password = passwordOf(system);
    if (password || !mayAsk) return password;
    return this.#secret ??= askPassword(this.name);
  }

  /** Its output is the password; its errors and its questions go to the terminal. */
  #run(command: string): string {
    const limit = this.#limit;
    const { error, status, signal, stdout } = spawnSync(command, {
      shell: true,
      // A process that is still there after the time limit must not keep our stderr open.
      stdio: ["ignore", "pipe", limit === undefined ? "inherit" : "ignore"],
      encoding: "utf8",
      ...(limit === undefined ? {} : { timeout: limit, killSignal: "SIGKILL" as const }),
    });
    const password = stdout?.replace(/\r?\n$/, "") ?? "";
    if (error === undefined && status === 0 && password !== "") return password;
    const end = status === null ? `${signal} ended it` : `its exit code is ${status}`;
    const why = error?.message ?? (status === 0 ? "it printed nothing" : end);
    throw new UsageError(`the password-command of context '${this.name}' failed: ${why}`);
  }

  #read(file: string): string {
    try {
      return fs.readFileSync(file, "utf8").replace(/\r?\n$/, "");
    } catch (error) {
      throw new UsageError(`the password-file of context '${this.name}' cannot be read: ${phrase(error)}`);
    }
  }
}

/** Whether a URL names a user who logs in with a password. */
function isNamed(url: string): boolean {
  return /\/\/[^/?]+@/.test(url) && !/[?&]auth_mechanism=external/i.test(url);
}

/** The context of a project whose file is not allowed. */
class ForbiddenContext implements Context {
  readonly name = "";
  readonly isExplicit = false;
  readonly tls: ContextTls = {};
  readonly http = undefined;
  readonly by: string;
  readonly file: string;

  constructor(file: string) {
    this.file = file;
    this.by = file;
  }

  url(): string {
    throw new UsageError(`${notAllowed(this.file)} (or choose the broker with --context or an address)`);
  }

  password(): undefined {
    return undefined;
  }
}
