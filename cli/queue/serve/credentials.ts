/** The users that the options allow. */
import fs from "node:fs";
import type { Broker } from "../../../lib/broker/server.ts";
import { passwordOf } from "../../app/environment.ts";
import { UsageError } from "../../app/errors.ts";
import { phrase } from "../../app/reporter.ts";
import type { Session } from "../../app/session.ts";
import type { ServingOptions } from "./options.ts";

/** A user that may log in. */
export interface Credentials {
  readonly name: string;
  /** Empty: only a certificate can log this user in. */
  readonly password: string;
}

/** The tag of users from options: a data folder stores users, and users that are no longer listed must be removed. */
const BY_OPTION = "mqcat";
const EVERYTHING = { configure: ".*", write: ".*", read: ".*" };

/** Returns the users from the options; undefined: only guest, from this machine. */
export function usersOf(
  { user, passwordFile, usersFile, cacert }: ServingOptions,
): Credentials[] | undefined {
  const users = usersFile === undefined ? [] : parseUsers(usersFile, cacert !== undefined);
  if (user === undefined) {
    if (passwordFile === undefined) return usersFile === undefined ? undefined : users;
    throw new UsageError("--password-file is the password of a user: add --user NAME");
  }
  const password = passwordFile === undefined
    ? passwordOf("amqp")
    : readText("--password-file", passwordFile).replace(/\r?\n$/, "");
  if (!password) {
    throw new UsageError(`--user '${user}' needs a password (try --password-file PATH, or $MQCAT_PASSWORD)`);
  }
  return [...users, { name: user, password }];
}

/** @param byCertificate whether users can log in by certificate, and so without a password */
function parseUsers(path: string, byCertificate: boolean): Credentials[] {
  const lines = readText("--users-file", path).split(/\r?\n/);
  return lines.flatMap((line, at) => {
    if (line === "" || line.startsWith("#")) return [];
    const colon = line.indexOf(":");
    // The line itself may be a password.
    if (colon < 1 || colon === line.length - 1 && !byCertificate) {
      throw new UsageError(`--users-file '${path}': line ${at + 1} is not NAME:PASSWORD`);
    }
    return [{ name: line.slice(0, colon), password: line.slice(colon + 1) }];
  });
}

/** Allows these users, and removes other users that earlier options allowed. */
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
    reporter.error(`${phrase(error)}; the users stay unchanged`);
  }
}

export function readText(option: string, path: string): string {
  try {
    return fs.readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`${option} '${path}': ${phrase(error)}`);
  }
}
