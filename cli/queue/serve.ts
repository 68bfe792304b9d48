/** What `queue serve` and `queue run` share: the broker's options, and its events as lines on stderr. */
import fs from "node:fs";
import path from "node:path";
import process from "node:process";
import { Broker } from "../../lib/broker/server.ts";
import type { BrokerEvent, BrokerOptions } from "../../lib/broker/options.ts";
import type { Json } from "../../lib/broker/core/definitions/table.ts";
import { EndpointError, messageOf, MqcatError } from "../../lib/errors.ts";
import { type Endpoint, parseEndpoint } from "../../lib/transport/endpoint.ts";
import { flag, group, option } from "../app/command.ts";
import { UsageError } from "../app/errors.ts";
import { phrase } from "../app/reporter.ts";
import type { Session } from "../app/session.ts";
import { readTls, type SecurityOptions } from "../options/tls.ts";
import { duration, integer, size, word } from "../app/values.ts";

/** How the broker is to be. */
export const serving = {
  ...group("Storage", {
    folder: option("--data <directory>", "keep queues and messages here", word),
    memory: flag("--memory", "keep nothing: all is gone when the broker ends"),
    sync: option(
      "--sync <mode>",
      "what a confirm means: confirm, it is on disk (the default); flush, the kernel has it; interval=D, it will be on disk within D",
      syncMode,
    ),
    definitions: option(
      "--load-definitions <file>",
      "declare what this file has, an export of RabbitMQ",
      word,
    ),
  }),
  ...group("Security", {
    user: option("--user <name>", "let in this user instead of guest; $AMQP_PASSWORD is the password", word),
    passwordFile: option("--password-file <path>", "read the password of --user from this file", word),
    usersFile: option(
      "--users-file <path>",
      "let in the users of this file, NAME:PASSWORD on each line, instead of guest; SIGHUP reads it again",
      word,
    ),
  }),
  ...group("Limits", {
    maxConnections: option("--max-connections <number>", "turn away more clients (10000)", integer(1)),
    maxMessage: option("--max-message <size>", "refuse larger messages (128M)", size),
    memoryLimit: option(
      "--memory-limit <size>",
      "hold publishers back while messages that are on no disk need more",
      size,
    ),
    heartbeat: option(
      "--heartbeat <duration>",
      "ask for a sign of life so often; 0 for never (60s)",
      duration,
    ),
  }),
  ...group("Identity", {
    product: option(
      "--product <name>",
      "the product that clients are told of, such as RabbitMQ (mqcat)",
      word,
    ),
    productVersion: option("--product-version <version>", "its version", word),
  }),
};

type Sync = Pick<BrokerOptions, "sync" | "syncInterval">;

/** What the options above say. */
export interface ServingOptions extends SecurityOptions {
  readonly folder: string | undefined;
  readonly memory: boolean | undefined;
  readonly sync: Sync | undefined;
  readonly definitions: string | undefined;
  readonly user: string | undefined;
  readonly passwordFile: string | undefined;
  readonly usersFile: string | undefined;
  readonly maxConnections: number | undefined;
  readonly maxMessage: number | undefined;
  readonly memoryLimit: number | undefined;
  readonly heartbeat: number | undefined;
  readonly product: string | undefined;
  readonly productVersion: string | undefined;
}

/** What the socket in a data folder is called. */
const SOCKET = "socket";

/** Someone who is let in. */
export interface Login {
  readonly name: string;
  readonly password: string;
}

/** A tag of the users that options let in: a data folder keeps users, and who is no longer listed must go. */
const BY_OPTION = "mqcat";
const EVERYTHING = { configure: ".*", write: ".*", read: ".*" };

/**
 * Opens the broker, which ends with the session.
 *
 * @param data the folder for what is to survive; undefined: nothing is
 * @throws {UsageError} options contradict each other, or one of their files cannot be read
 */
export async function openBroker(
  session: Session,
  options: ServingOptions,
  data: string | undefined,
): Promise<Broker> {
  const users = usersOf(options);
  const definitions = options.definitions === undefined
    ? undefined
    : readJson("--load-definitions", options.definitions);
  const broker = await openIn(data, {
    ...options.sync,
    guest: users === undefined,
    tls: readTls(options),
    maxConnections: options.maxConnections,
    maxMessageSize: options.maxMessage,
    memoryLimit: options.memoryLimit,
    heartbeat: options.heartbeat === undefined ? undefined : Math.ceil(options.heartbeat / 1000),
    product: options.product,
    productVersion: options.productVersion,
    onEvent: describeEvents(session),
  });
  session.onEnd(() => broker.close());
  if (data !== undefined) await listenInside(broker, data);
  if (definitions !== undefined) {
    for (const warning of broker.loadDefinitions(definitions)) session.reporter.warn(warning);
  }
  if (users !== undefined) admit(broker, users);
  if (options.usersFile !== undefined) session.onReload(() => reload(session, broker, options));
  return broker;
}

/** Lets in these users and, of those that options let in before, no others. */
function admit(broker: Broker, users: readonly Login[]): void {
  for (const { name, tags } of [...broker.users]) {
    if (tags.includes(BY_OPTION) && !users.some((user) => user.name === name)) broker.users.remove(name);
  }
  for (const { name, password } of users) {
    broker.users.put(name, password, ["administrator", BY_OPTION]);
    for (const vhost of broker.vhosts.keys()) broker.users.permit(name, vhost, EVERYTHING);
  }
}

function reload({ reporter }: Session, broker: Broker, options: ServingOptions): void {
  try {
    admit(broker, usersOf(options)!);
    reporter.info(`read '${options.usersFile}' again`);
  } catch (error) {
    reporter.error(`${phrase(error)}; everything stays as it was`);
  }
}

/** Opens a broker in a folder. @throws {Error} with the folder in words, as the system's errors do not say what it is for */
export async function openIn(data: string | undefined, options: BrokerOptions): Promise<Broker> {
  try {
    return await Broker.open({ ...options, data });
  } catch (error) {
    if (data === undefined || error instanceof MqcatError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    const what = code === "EEXIST" || code === "ENOTDIR" ? "it is not a directory" : messageOf(error);
    throw new Error(`Cannot keep messages in '${data}': ${what} (--data names a directory)`, {
      cause: error,
    });
  }
}

/** The users that were asked for; undefined: guest, from this machine only. */
export function usersOf({ user, passwordFile, usersFile }: ServingOptions): Login[] | undefined {
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

function parseUsers(path: string): Login[] {
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

function readText(option: string, path: string): string {
  try {
    return fs.readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`${option} '${path}': ${phrase(error)}`);
  }
}

function readJson(option: string, path: string): Json {
  try {
    return JSON.parse(readText(option, path));
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${option} '${path}' is not JSON: ${messageOf(error)}`);
  }
}

function syncMode(text: string): Sync {
  if (text === "confirm" || text === "flush") return { sync: text };
  const interval = /^interval=(.+)$/.exec(text);
  if (interval === null) throw new Error("expected confirm, flush or interval=D, such as interval=200ms");
  const ms = duration(interval[1]!);
  if (ms < 1) throw new Error("an interval of no time is 'confirm'");
  return { sync: "interval", syncInterval: ms };
}

/** Says on stderr what happens in a broker. */
export function describeEvents(session: Session): (event: BrokerEvent) => void {
  const { reporter } = session;
  return (event) => {
    switch (event.type) {
      case "connected":
        return reporter.verbose(
          `connected: '${event.user}' from ${address(event.remote)}, vhost '${event.vhost}'`,
        );
      case "disconnected": {
        const cause = event.cause === undefined || session.stopping ? "" : `: ${phrase(event.cause)}`;
        return reporter.verbose(`disconnected: ${address(event.remote)}${cause}`);
      }
      case "refused":
        return reporter.warn(`refused ${address(event.remote)}: ${phrase(event.error)}`);
      case "channel-error":
        return reporter.verbose(`closed a channel of ${address(event.remote)}: ${phrase(event.error)}`);
      case "blocked":
        return event.reason === undefined
          ? reporter.info("messages are taken again")
          : reporter.warn(`no messages are taken for now: ${event.reason}`);
      case "failed":
        return reporter.error(event.error);
      case "damaged":
        return reporter.warn(`damaged, and passed over: ${event.what}`);
    }
  };
}

/** `127.0.0.1:50123`; other transports keep their names. */
function address(remote: string): string {
  return remote.replace(/^(tcp|tls):\/\//, "");
}

/** Lets other processes in that are given the same folder. */
export async function listenInside(broker: Broker, folder: string): Promise<void> {
  if (socketOf(folder) === undefined) return;
  try {
    const socket = path.join(folder, SOCKET);
    await broker.listen(`ipc://${socket}`, true);
    // Who comes through it may do everything.
    fs.chmodSync(socket, 0o600);
  } catch {
    // A file system without sockets: the others are told who has the folder.
  }
}

/** The socket in a folder, of the process that has it open; undefined: the path is longer than a socket's may be. */
export function socketOf(folder: string): Endpoint | undefined {
  try {
    return parseEndpoint(`ipc://${path.join(folder, SOCKET)}`);
  } catch (error) {
    if (error instanceof EndpointError) return undefined;
    throw error;
  }
}
