/** The broker of the queue commands: its address, the login, and the reports about the connection. */
import fs from "node:fs";
import path from "node:path";
import process from "node:process";
import type { AmqpConnection } from "../../lib/amqp/client/connection.ts";
import { type AmqpEvent, connectBroker, type LinkOptions, patiently } from "../../lib/amqp/client/link.ts";
import {
  type BrokerAddress,
  DEFAULT_URL,
  formatBroker,
  parseAmqpAddress,
  parseAmqpUrl,
} from "../../lib/amqp/client/url.ts";
import { messageOf } from "../../lib/errors.ts";
import { type ClusterOptions, nearLeader } from "../../lib/amqp/client/near_leader.ts";
import { shortName } from "../../lib/patterns/address.ts";
import { UsageError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { text } from "../app/values.ts";
import {
  contextOf,
  linkOf,
  type LoginValues,
  placeOf,
  reach,
  startWithin,
  type Target,
} from "../brokers/link.ts";
import type { Context } from "../contexts/contract.ts";
import { httpUrls } from "../options/http.ts";
import type { DataFolder } from "./data_folder.ts";

/** The values of the options for the address of the broker. */
export interface BrokerValues extends LoginValues {
  readonly url: string | undefined;
  readonly folder: string | undefined;
}

/** The values of the options for the HTTP API. */
interface HttpValues {
  readonly http?: readonly string[] | undefined;
  readonly folder?: string | undefined;
  readonly context?: Context | undefined;
}

/** The addresses of a broker, and how to connect to it. `abort` also ends all work of `withConnection`. */
export interface BrokerTarget extends Target {
  readonly brokers: readonly BrokerAddress[];
  readonly link: LinkOptions & ClusterOptions;
}

/** The pauses and timeouts for a broker in a directory, which may read for long before it answers, or exit before. */
const SHARED_DIRECTORY = { handshakeTimeout: 120_000, patience: 10_000 };

/**
 * @param create whether a missing directory of `--data` is created
 * @throws {UsageError | EndpointError} the URL or the password file is wrong, or an option is out of place
 */
export function targetOf(session: Session, options: BrokerValues, create = false): BrokerTarget {
  const { url, folder } = options;
  if (folder !== undefined) {
    if (url !== undefined) {
      throw new UsageError("--url and --data both name the place of the queues: give only one of them");
    }
    const broker = inside(folder);
    return {
      brokers: [broker],
      where: formatBroker(broker),
      ...linkOf(session, { ...SHARED_DIRECTORY, dial: dialer(session, folder, create) }, true),
    };
  }
  const place = placeOf("amqp", url, DEFAULT_URL, options);
  return reachAmqp(session, parseAmqpUrl(place.url), place.login);
}

/** The same target, near the leader of a queue if the options want that. */
export function near<T extends BrokerTarget>(target: T, queue: string): T {
  return { ...target, link: nearLeader(target.brokers, queue, target.link) };
}

/**
 * The target of an address: `amqp://host/vhost/name`, or `amqp:name` at the broker in use.
 *
 * @returns the target, and the name; undefined when the address has none
 * @throws {UsageError | EndpointError} the address or the password file is wrong
 */
export function targetAt(
  session: Session,
  address: string,
  options: LoginValues,
): BrokerTarget & { readonly name: string | undefined } {
  const short = shortName(address);
  const { url, login } = placeOf("amqp", short === undefined ? address : undefined, DEFAULT_URL, options);
  const { brokers, name } = short === undefined
    ? parseAmqpAddress(url)
    : { brokers: parseAmqpUrl(url), name: short || undefined };
  return { ...reachAmqp(session, brokers, login), name };
}

function reachAmqp(
  session: Session,
  brokers: readonly BrokerAddress[],
  options: LoginValues,
): BrokerTarget {
  const { link, ...target } = reach(session, "amqp", brokers, formatBroker, options);
  return { ...target, link: { ...link, nearLeader: options.nearLeader, http: httpOf(options) } };
}

/** The broker of a directory. It accepts guest, from this machine only. */
function inside(folder: string): BrokerAddress {
  return {
    endpoint: { scheme: "inproc", name: path.resolve(folder) },
    user: "guest",
    password: "guest",
    hasPassword: true,
    vhost: "/",
  };
}

/** Loads the broker only when it is needed. */
function dialer(session: Session, folder: string, create: boolean): NonNullable<LinkOptions["dial"]> {
  if (!create && !fs.existsSync(folder)) {
    throw new UsageError(`--data '${folder}': there is no such directory`);
  }
  let opened: Promise<DataFolder> | undefined;
  return async (signal) => {
    opened ??= import("./data_folder.ts").then(({ DataFolder }) => new DataFolder(session, folder));
    return await (await opened).dial(signal);
  };
}

/** The URLs of the HTTP API in the options; undefined: RabbitMQ's default address at each host. */
export function httpOf({ http, folder, context: given }: HttpValues): readonly string[] | undefined {
  if (http !== undefined) return http;
  const context = contextOf("amqp", { context: given });
  if (context !== undefined) return context.http === undefined ? undefined : httpUrls(context.http);
  // The variable is about the broker in use, not about a directory.
  const variable = folder === undefined ? process.env["AMQP_HTTP_URL"] || undefined : undefined;
  try {
    return variable === undefined ? undefined : httpUrls(variable);
  } catch (error) {
    throw new UsageError(`$AMQP_HTTP_URL: ${messageOf(error)}`);
  }
}

/** What `withConnection` runs. @param broker the host of the connection */
type Work = (connection: AmqpConnection, broker: string) => Promise<void>;

/**
 * Connects once, runs `work`, and closes the connection.
 *
 * @param waiting waits for a queue that is unavailable, at most for `timeout`, in milliseconds. Default: it is an error
 */
export async function withConnection(
  target: BrokerTarget,
  work: Work,
  waiting?: { readonly timeout: number | undefined },
): Promise<void> {
  const link = waiting === undefined ? { ...target.link, awayPatience: 0 } : target.link;
  await startWithin(target, waiting?.timeout, once({ ...target, link }, work));
}

async function once(
  { brokers, link }: BrokerTarget,
  work: Work,
): Promise<void> {
  await patiently(link, async () => {
    let broker = "";
    const onEvent = (event: AmqpEvent) => {
      if (event.type === "connected") broker = event.broker;
      link.onEvent?.(event);
    };
    const connection = await connectBroker(brokers, { ...link, onEvent });
    const stop = () => connection.abort();
    link.signal?.addEventListener("abort", stop);
    try {
      await work(connection, broker);
    } catch (error) {
      throw link.signal?.aborted ? link.signal.reason : error;
    } finally {
      await connection.close();
      link.signal?.removeEventListener("abort", stop);
    }
  });
}

/** Parses an argument of a queue or a binding, `x-max-length=1000`; integers and booleans are sent with these types. */
export function argument(value: string): [name: string, value: string | number | boolean] {
  const at = value.indexOf("=");
  if (at < 1) throw new Error("expected name=value, such as x-max-length=1000");
  const given = text(value.slice(at + 1));
  if (/^(true|false)$/.test(given)) return [value.slice(0, at), given === "true"];
  const number = Number(given);
  return [value.slice(0, at), /^-?\d+$/.test(given) && Number.isSafeInteger(number) ? number : given];
}
