import { LimitError, messageOf, MqcatError, RefusedError, UnreachableError } from "../../errors.ts";
import type { BrokerAddress } from "./url.ts";

/** The time limit for a request, in milliseconds, and the size limit for a response, in bytes. */
const TIMEOUT_MS = 10_000;
const MAX_RESPONSE = 64 * 2 ** 20;

/** A queue as the HTTP API describes it. Some brokers leave out some properties. */
export interface QueueInfo {
  readonly name: string;
  readonly vhost: string;
  readonly type?: string;
  readonly durable?: boolean;
  readonly auto_delete?: boolean;
  readonly exclusive?: boolean;
  readonly arguments?: Record<string, unknown>;
  readonly state?: string;
  readonly messages?: number;
  readonly messages_ready?: number;
  readonly messages_unacknowledged?: number;
  readonly message_bytes?: number;
  readonly consumers?: number;
  /** The node of the leader, or of a classic queue. */
  readonly node?: string;
  /** The leader of a quorum queue. */
  readonly leader?: string;
  /** The nodes with a copy of a quorum queue or a stream. */
  readonly members?: readonly string[];
  /** Those that are up. */
  readonly online?: readonly string[];
  readonly delivery_limit?: number;
  /** The time in the property `timestamp` of the first message, in seconds since 1970. */
  readonly head_message_timestamp?: number | null;
  /** When the oldest ready message arrived, in milliseconds since 1970; only of mqcat's own broker. */
  readonly oldest_message_received_timestamp?: number | null;
  /** A time before which it arrived, in milliseconds since 1970, if the time itself is not known; likewise. */
  readonly oldest_message_received_before?: number;
  /** The merged definition of the policies that apply; RabbitMQ knows it some seconds after the declaration. */
  readonly effective_policy_definition?: Record<string, unknown>;
}

/** A node as the HTTP API describes it. */
export interface NodeInfo {
  readonly name: string;
  readonly running: boolean;
  /** The nodes that it has no connection to. */
  readonly partitions?: readonly string[];
  readonly mem_alarm?: boolean;
  readonly disk_free_alarm?: boolean;
  /** Why it accepts no messages; only of mqcat's own broker over AMQP. */
  readonly blocked?: string | null;
}

/** The delivery limit of a queue: the smaller one of its argument and its policies. */
export function deliveryLimitOf(info: QueueInfo): number | undefined {
  // RabbitMQ 4 reports the limit that applies, which has a default there.
  const { delivery_limit: reported, arguments: args, effective_policy_definition: policy } = info;
  const limits = [reported ?? args?.["x-delivery-limit"], policy?.["delivery-limit"]]
    .filter((limit): limit is number => typeof limit === "number" && limit >= 0);
  return limits.length === 0 ? undefined : Math.min(...limits);
}

/** An exchange as the HTTP API describes it. */
export interface ExchangeInfo {
  /** Empty: the default exchange. */
  readonly name: string;
  readonly type: string;
}

/** The default URL of a broker's HTTP API, with RabbitMQ's ports. */
export function managementUrl({ endpoint }: BrokerAddress): string {
  if (endpoint.scheme === "inproc") {
    throw unusable("Cannot use the HTTP API as a broker in this process has none");
  }
  const host = endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host;
  return endpoint.scheme === "tls" ? `https://${host}:15671` : `http://${host}:15672`;
}

/**
 * Lists the queues of the broker's virtual host. A classic queue whose node is down is only found here.
 *
 * @param bases URLs of the HTTP API; the first one that answers is used
 */
export async function listQueues(bases: readonly string[], broker: BrokerAddress): Promise<QueueInfo[]> {
  return await askList(bases, broker, `queues/${encodeURIComponent(broker.vhost)}`);
}

/** The properties that a check needs. */
const NODE_COLUMNS = "name,running,partitions,mem_alarm,disk_free_alarm";
const QUEUE_COLUMNS = "name,vhost,type,state,node,members,online";

/** Lists the nodes of the cluster. RabbitMQ needs a user with the tag `monitoring` for it. @param bases as for `listQueues` */
export function listNodes(
  bases: readonly string[],
  broker: BrokerAddress,
  limit?: number,
): Promise<NodeInfo[]> {
  return askList(bases, broker, `nodes?columns=${NODE_COLUMNS}`, limit);
}

/** Lists the queues of all virtual hosts, with their members. @param bases as for `listQueues` */
export function listAllQueues(
  bases: readonly string[],
  broker: BrokerAddress,
  limit?: number,
): Promise<QueueInfo[]> {
  return askList(bases, broker, `queues?columns=${QUEUE_COLUMNS}`, limit);
}

/** Lists the exchanges of the broker's virtual host. @param bases as for `listQueues` */
export async function listExchanges(
  bases: readonly string[],
  broker: BrokerAddress,
): Promise<ExchangeInfo[]> {
  return await askList(bases, broker, `exchanges/${encodeURIComponent(broker.vhost)}`);
}

/** Describes one queue. @param bases as for `listQueues` */
export async function queueInfo(
  bases: readonly string[],
  broker: BrokerAddress,
  queue: string,
  limit?: number,
): Promise<QueueInfo> {
  const path = `queues/${encodeURIComponent(broker.vhost)}/${encodeURIComponent(queue)}`;
  return await askFirst(bases, broker, path, limit) as QueueInfo;
}

/** Returns the definitions of the broker's virtual host, in RabbitMQ's format. @param bases as for `listQueues` */
export async function readDefinitions(
  bases: readonly string[],
  broker: BrokerAddress,
): Promise<{ readonly [name: string]: unknown }> {
  const path = `definitions/${encodeURIComponent(broker.vhost)}`;
  return await askFirst(bases, broker, path) as Record<string, unknown>;
}

/** Adds definitions to the broker's virtual host. @param bases as for `listQueues` */
export async function addDefinitions(
  bases: readonly string[],
  broker: BrokerAddress,
  definitions: { readonly [name: string]: unknown },
): Promise<void> {
  await askFirst(bases, broker, `definitions/${encodeURIComponent(broker.vhost)}`, TIMEOUT_MS, definitions);
}

/** Asks for a list. @param path the path after `/api/` */
export async function askList<T>(
  bases: readonly string[],
  broker: BrokerAddress,
  path: string,
  limit?: number,
): Promise<T[]> {
  const list = await askFirst(bases, broker, path, limit);
  if (!Array.isArray(list)) {
    throw unusable(`${bases.map(withoutLogin).join(",")} is not the HTTP API of a broker`);
  }
  return list;
}

/**
 * Asks the first host that answers.
 *
 * @param path the path after `/api/`
 * @param limit the time limit for each host, in milliseconds. Default: 10000
 * @param body in JSON, for a POST
 * @throws {UnreachableError} no host answers; the message has the reason of each
 * @throws {RefusedError} the user is refused, or what the path names does not exist
 */
export async function askFirst(
  bases: readonly string[],
  broker: BrokerAddress,
  path: string,
  limit: number = TIMEOUT_MS,
  body?: unknown,
): Promise<unknown> {
  const failures: Failure[] = [];
  for (const base of bases) {
    try {
      return await ask(base, broker, path, limit, body);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      failures.push(error);
    }
  }
  const reasons = failures.map(({ message }) => message).join(", ");
  throw unusable(
    `The HTTP API does not answer at ${reasons}: check its URL, ` +
      "or enable it with 'rabbitmq-plugins enable rabbitmq_management'",
    { cause: failures.at(-1) },
  );
}

/** One host has no answer. The message names it, with the reason. */
class Failure extends Error {
  constructor(base: string, reason: string, options?: ErrorOptions) {
    super(`${base} (${reason})`, options);
  }
}

async function ask(
  url: string,
  broker: BrokerAddress,
  path: string,
  limit: number,
  body: unknown,
): Promise<unknown> {
  const base = withoutLogin(url);
  const { user, password } = loginOf(url, broker);
  let response: Response;
  let text: string;
  try {
    response = await fetch(`${base}/api/${path}`, {
      headers: {
        authorization: `Basic ${base64(`${user}:${password}`)}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(Math.ceil(limit)),
      redirect: "error",
    });
    text = await readText(response);
  } catch (error) {
    if (error instanceof MqcatError) throw error;
    throw new Failure(base, reasonOf(error, limit), { cause: error });
  }
  if (response.status === 401) {
    throw new RefusedError(
      `The HTTP API at ${base} refused user '${user}' (the user may need the tag 'management')`,
    );
  }
  if (response.status === 404) {
    const what = path.split("/").length > 2 ? "such queue" : `virtual host '${broker.vhost}'`;
    throw new RefusedError(`The HTTP API at ${base} found no ${what}`);
  }
  if (!response.ok) throw new Failure(base, `status ${response.status}${reasonIn(text)}`);
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Failure(base, "it is not the HTTP API of a broker", { cause: error });
  }
}

/** The login in a URL of the HTTP API, else that of the broker. */
function loginOf(url: string, broker: BrokerAddress): Pick<BrokerAddress, "user" | "password"> {
  const { username, password } = new URL(url);
  if (username === "") return broker;
  return { user: decoded(username), password: decoded(password) };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function withoutLogin(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname.replace(/\/+$/, "")}`;
}

function unusable(message: string, options?: ErrorOptions): UnreachableError {
  return new UnreachableError(message, options, "ERR_HTTP_API");
}

async function readText(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MAX_RESPONSE) throw new LimitError(`The HTTP API sent more than ${MAX_RESPONSE} bytes`);
  }
  return text + decoder.decode();
}

/** The reason in RabbitMQ's response to a refused request, `{"error":…,"reason":…}`. */
function reasonIn(text: string): string {
  try {
    const { reason } = JSON.parse(text);
    return typeof reason === "string" ? `: ${reason}` : "";
  } catch {
    return "";
  }
}

function base64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

/** The reason of a failed request in the words of the system, not of the runtime's `fetch`. */
function reasonOf(error: unknown, limit: number): string {
  const causes = [error, (error as { cause?: unknown }).cause, (error as { code?: unknown }).code].map(
    String,
  );
  const text = causes.join(" ");
  if (/ECONNREFUSED|ConnectionRefused|refused/i.test(text)) return "connection refused";
  if (/ECONNRESET|reset/i.test(text)) return "it closed the connection";
  if (/timed out|timeout/i.test(text)) return `no answer within ${limit / 1000} s`;
  if (/ENOTFOUND|EAI_AGAIN|lookup|dns/i.test(text)) return "the host name does not resolve";
  return messageOf(error);
}
