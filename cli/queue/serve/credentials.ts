/** The users that options let in. */
import fs from "node:fs";
import process from "node:process";
import type { Broker } from "../../../lib/broker/server.ts";
import { UsageError } from "../../app/errors.ts";
import { phrase } from "../../app/reporter.ts";
import type { Session } from "../../app/session.ts";
import type { ServingOptions } from "./options.ts";

/** Someone who is let in. */
export interface Credentials {
  readonly name: string;
  readonly password: string;
}

/** A tag of the users that options let in: a data folder keeps users, and who is no longer listed must go. */
const BY_OPTION = "mqcat";
const EVERYTHING = { configure: ".*", write: ".*", read: ".*" };

/** The users that were asked for; undefined: guest, from this machine only. */
export function usersOf({ user, passwordFile, usersFile }: ServingOptions): Credentials[] | undefined {
  const users = usersFile === undefined ? [] : parseUsers(usersFile);
  if (user === undefined) {
    if (passwordFile === undefined) return usersFile === undefined ? undefined : users;
    throw new UsageError("--password-file has the password of --user, and there is no --user");
  }
  const password = passwordFile === undefined
    ? process.env["AMQP_PASSWORD"]
    : readText("--password-file", passwordFile).replace(/\r?\n$/, "");
  if (!password) {
    throw new UsageError(`--user '${user}' needs a password (try --password-file PATH, or $AMQP_PASSWORD)`);
  }
  return [...users, { name: user, password }];
}

function parseUsers(path: string): Credentials[] {
  const lines = readText("--users-file", path).split(/\r?\n/);
  return lines.flatMap((line, at) => {
    if (line === "" || line.startsWith("#")) return [];
    const colon = line.indexOf(":");
    // The line itself may be a password.
    if (colon < 1 || colon === line.length - 1) {
      throw new UsageError(`--users-file '${path}': line ${at + 1} is not NAME:PASSWORD`);
    }
    return [{ name: line.slice(0, colon), password: line.slice(colon + 1) }];
  });
}

/** Lets in these users and, of those that options let in before, no others. */
export function admit(broker: Broker, users: readonly Credentials[]): void {
  for (const { name, tags } of [...broker.users]) {
    if (tags.includes(BY_OPTION) && !users.some((user) => user.name === name)) broker.users.remove(name);
  }
  for (const { name, password } of users) {
    broker.users.put(name, password, ["administrator", BY_OPTION]);
    for (const vhost of broker.vhosts.keys()) broker.users.permit(name, vhost, EVERYTHING);
  }
}

export function reload({ reporter }: Session, broker: Broker, options: ServingOptions): void {
  try {
    admit(broker, usersOf(options)!);
    reporter.info(`read '${options.usersFile}' again`);
  } catch (error) {
    reporter.error(`${phrase(error)}; everything stays as it was`);
  }
}

export function readText(option: string, path: string): string {
  try {
    return fs.readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`${option} '${path}': ${phrase(error)}`);
  }
}
