/** Requests to the HTTP API of a broker, whose hosts are asked in turn. */
import { LimitError, messageOf, MqcatError, RefusedError, UnreachableError } from "../../errors.ts";
import type { BrokerAddress } from "./url.ts";

/** The time limit for a request, in milliseconds, and the size limit for a response, in bytes. */
const TIMEOUT_MS = 10_000;
const MAX_RESPONSE = 64 * 2 ** 20;

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
    failures.every(({ isServerError }) => isServerError)
      ? `The HTTP API failed at ${reasons}: if the node is still starting, try again in a few seconds`
      : `The HTTP API does not answer at ${reasons}: check its URL, ` +
        "or enable it with 'rabbitmq-plugins enable rabbitmq_management'",
    { cause: failures.at(-1) },
  );
}

/** One host has no usable answer. The message names it, with the reason. */
class Failure extends Error {
  /** Whether it answered with a status of 500 or more. */
  readonly isServerError: boolean;

  constructor(base: string, reason: string, options?: ErrorOptions & { isServerError?: boolean }) {
    super(`${base} (${reason})`, options);
    this.isServerError = options?.isServerError === true;
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
    const tag = path.startsWith("nodes") ? "monitoring" : "management";
    throw new RefusedError(
      `The HTTP API at ${base} refused user '${user}' (the user may need the tag '${tag}')`,
    );
  }
  if (response.status === 404) {
    const what = path.split("/").length > 2 ? "such queue" : `virtual host '${broker.vhost}'`;
    throw new RefusedError(`The HTTP API at ${base} found no ${what}`);
  }
  if (!response.ok) {
    const isServerError = response.status >= 500;
    throw new Failure(base, `status ${response.status}${reasonIn(text)}`, { isServerError });
  }
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

/** The URL of an HTTP API as it is asked and shown: without a user, a password, and a slash at the end. */
export function withoutLogin(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname.replace(/\/+$/, "")}`;
}

/** The error of an HTTP API that cannot be used. */
export function unusable(message: string, options?: ErrorOptions): UnreachableError {
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
