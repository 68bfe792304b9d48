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
}

/** The default URL of a broker's HTTP API, with RabbitMQ's ports. */
export function managementUrl({ endpoint }: BrokerAddress): string {
  if (endpoint.scheme === "inproc") {
    throw unusable("Cannot use the HTTP API as a broker in this process has none");
  }
  const host = endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host;
  return endpoint.scheme === "tls" ? `https://${host}:15671` : `http://${host}:15672`;
}

/** Lists the queues of the broker's virtual host. @param bases URLs of the HTTP API; the first one that answers is used */
export async function listQueues(bases: readonly string[], broker: BrokerAddress): Promise<QueueInfo[]> {
  const queues = await askFirst(bases, broker, `/api/queues/${encodeURIComponent(broker.vhost)}`);
  if (!Array.isArray(queues)) throw unusable(`${bases.join(",")} is not the HTTP API of a broker`);
  return queues;
}

/** Describes one queue. @param bases as for `listQueues` */
export async function queueInfo(
  bases: readonly string[],
  broker: BrokerAddress,
  queue: string,
): Promise<QueueInfo> {
  const path = `/api/queues/${encodeURIComponent(broker.vhost)}/${encodeURIComponent(queue)}`;
  return await askFirst(bases, broker, path) as QueueInfo;
}

/** Returns the definitions of the broker's virtual host, in RabbitMQ's format. @param bases as for `listQueues` */
export async function readDefinitions(
  bases: readonly string[],
  broker: BrokerAddress,
): Promise<{ readonly [name: string]: unknown }> {
  return await askFirst(bases, broker, `/api/definitions/${encodeURIComponent(broker.vhost)}`) as Record<
    string,
    unknown
  >;
}

/** Adds definitions to the broker's virtual host. @param bases as for `listQueues` */
export async function addDefinitions(
  bases: readonly string[],
  broker: BrokerAddress,
  definitions: { readonly [name: string]: unknown },
): Promise<void> {
  await askFirst(bases, broker, `/api/definitions/${encodeURIComponent(broker.vhost)}`, definitions);
}

/**
 * @param body in JSON, for a POST
 * @throws the error of the last URL, when none answers
 */
async function askFirst(
  bases: readonly string[],
  broker: BrokerAddress,
  path: string,
  body?: unknown,
): Promise<unknown> {
  let failure: unknown;
  for (const base of bases) {
    try {
      return await ask(base, broker, path, body);
    } catch (error) {
      if (!(error instanceof UnreachableError)) throw error;
      failure = error;
    }
  }
  throw failure;
}

async function ask(
  base: string,
  { user, password, vhost }: BrokerAddress,
  path: string,
  body: unknown,
): Promise<unknown> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(`${base.replace(/\/+$/, "")}${path}`, {
      headers: {
        authorization: `Basic ${base64(`${user}:${password}`)}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
      redirect: "error",
    });
    text = await readText(response);
  } catch (error) {
    if (error instanceof MqcatError) throw error;
    throw unusable(
      `The HTTP API does not answer at ${base} (${reasonOf(error)}): check its URL, ` +
        "or enable it with 'rabbitmq-plugins enable rabbitmq_management'",
      { cause: error },
    );
  }
  if (response.status === 401) {
    throw new RefusedError(
      `The HTTP API at ${base} refused user '${user}' (the user may need the tag 'management')`,
    );
  }
  if (response.status === 404) {
    throw new RefusedError(
      `The HTTP API at ${base} found no ${
        path.split("/").length > 4 ? "such queue" : `virtual host '${vhost}'`
      }`,
    );
  }
  if (!response.ok) {
    throw unusable(`The HTTP API at ${base} answered with status ${response.status}${reasonIn(text)}`);
  }
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw unusable(`${base} is not the HTTP API of a broker`, { cause: error });
  }
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
function reasonOf(error: unknown): string {
  const causes = [error, (error as { cause?: unknown }).cause, (error as { code?: unknown }).code].map(
    String,
  );
  const text = causes.join(" ");
  if (/ECONNREFUSED|ConnectionRefused|refused/i.test(text)) return "connection refused";
  if (/ECONNRESET|reset/i.test(text)) return "it closed the connection";
  if (/timed out|timeout/i.test(text)) return `no answer within ${TIMEOUT_MS / 1000} s`;
  if (/ENOTFOUND|EAI_AGAIN|lookup|dns/i.test(text)) return "the host name does not resolve";
  return messageOf(error);
}
