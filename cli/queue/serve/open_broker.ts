import type { Clock } from "../../../lib/broker/core/clock.ts";
import { DefinitionsError } from "../../../lib/broker/core/definitions/import.ts";
import type { Json } from "../../../lib/broker/core/definitions/table.ts";
import type { Broker } from "../../../lib/broker/server.ts";
import { messageOf } from "../../../lib/errors.ts";
import { UsageError } from "../../app/errors.ts";
import type { Session } from "../../app/session.ts";
import { reloadedTls } from "../../options/tls.ts";
import { admit, readText, reload, usersOf } from "./credentials.ts";
import { reportBrokerEvents } from "./events.ts";
import { listenInside, openInFolder } from "./folder.ts";
import type { ServingOptions } from "./options.ts";

/**
 * Opens the broker; it is closed at the end of the session.
 *
 * @param clock Default: that of the system
 * @param data the folder for persistent data; undefined: nothing is stored
 * @throws {UsageError} options contradict each other, or one of their files cannot be read
 */
export async function openBroker(
  session: Session,
  options: ServingOptions,
  data: string | undefined,
  clock?: Clock,
): Promise<Broker> {
  const users = usersOf(options);
  const definitions = options.definitions === undefined
    ? undefined
    : readJson("--load-definitions", options.definitions);
  const broker = await openInFolder(data, {
    ...options.sync,
    // As in RabbitMQ: definitions with users replace the default user.
    guest: users === undefined && !namesUsers(definitions),
    tls: reloadedTls(session, options, options.cacert !== undefined),
    certLoginFrom: options.certLoginFrom,
    origins: options.origin,
    maxConnections: options.maxConnections,
    maxMessageSize: options.maxMessage,
    memoryLimit: options.memoryLimit,
    heartbeat: options.heartbeat === undefined ? undefined : Math.ceil(options.heartbeat / 1000),
    sessionLimit: options.sessionLimit,
    sessionExpiry: options.sessionExpiry === undefined ? undefined : Math.ceil(options.sessionExpiry / 1000),
    retainedLimit: options.retainedLimit,
    product: options.product,
    productVersion: options.productVersion,
    clock,
    onEvent: reportBrokerEvents(session),
  });
  session.onEnd(() => broker.close());
  if (data !== undefined) await listenInside(broker, data);
  if (definitions !== undefined) {
    for (const warning of load(session, broker, definitions)) session.reporter.warn(warning);
  }
  if (users !== undefined) admit(broker, users);
  if (options.usersFile !== undefined) session.onReload(() => reload(session, broker, options));
  return broker;
}

/** Loads definitions. Reports each mistake on a line of its own. */
function load({ reporter }: Session, broker: Broker, definitions: Json): string[] {
  try {
    return broker.loadDefinitions(definitions);
  } catch (error) {
    if (!(error instanceof DefinitionsError) || error.mistakes.length === 1) throw error;
    for (const mistake of error.mistakes) reporter.error(mistake);
    throw new UsageError(`the definitions have ${error.mistakes.length} mistakes, so nothing was imported`);
  }
}

/** Whether definitions have users. */
function namesUsers(definitions: Json | undefined): boolean {
  if (typeof definitions !== "object" || definitions === null || Array.isArray(definitions)) return false;
  const { users } = definitions;
  return Array.isArray(users) && users.length > 0;
}

function readJson(option: string, path: string): Json {
  try {
    // Some editors and shells write a byte order mark.
    return JSON.parse(readText(option, path).replace(/^\uFEFF/, ""));
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${option} '${path}' is not JSON: ${messageOf(error)}`);
  }
}
