import { Buffer } from "node:buffer";
import http from "node:http";
import type net from "node:net";
import { AddressInUseError, EndpointError } from "../../errors.ts";
import { parseEndpoint } from "../../transport/endpoint.ts";
import type { StoredUser } from "../core/topology/definition_change.ts";
import { httpErrorFor, notAuthorised } from "./errors.ts";
import { readBody } from "../../page/body.ts";
import { Page, type PageBackend } from "../../page/page.ts";
import { checkHost, checkOrigin, isLocal, PAGE_HEADER, SECURITY_HEADERS } from "../../page/site.ts";
import { ApiRequest, Reply } from "./request.ts";
import type { HttpHost } from "./host.ts";
import { Sampler } from "./rates/sampler.ts";
import { API } from "./api.ts";

/** Limits for clients. Sizes are in bytes, times in milliseconds. */
export interface HttpLimits {
  readonly head: number;
  readonly headTime: number;
  /** Definitions are the largest bodies. */
  readonly body: number;
  /** For a whole request. */
  readonly time: number;
  readonly connections: number;
  /** Time between two samples of the counters. */
  readonly sampleInterval: number;
}

/** Options of a server. */
export interface HttpOptions extends Partial<HttpLimits> {
  /** Whether users of the page may change something, within their permissions. Default: they may only look. */
  readonly pageWrites?: boolean | undefined;
}

const LIMITS: HttpLimits = {
  head: 16 * 1024,
  headTime: 5000,
  body: 16 * 2 ** 20,
  time: 30_000,
  connections: 256,
  sampleInterval: 5000,
};

/** Tags of the users who may use the API. */
const TAGS = ["administrator", "monitoring", "policymaker", "management"];

/**
 * The part of RabbitMQ's HTTP API that tools need (https://www.rabbitmq.com/management.html), and metrics for
 * Prometheus. Every request needs the name and password of a user with one of the management tags.
 */
export class HttpServer {
  /** `http://host:port`. */
  readonly url: string;
  readonly sampler: Sampler;
  readonly #server: http.Server;

  private constructor(server: http.Server, sampler: Sampler) {
    this.#server = server;
    this.sampler = sampler;
    const { address, family, port } = server.address() as net.AddressInfo;
    this.url = `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
  }

  /**
   * Listens for requests.
   *
   * @param text `host:port`, `:port` for loopback, `*:port` for every interface
   * @throws {EndpointError | AddressInUseError} the address cannot be bound
   */
  static async listen(broker: HttpHost, text: string, given: HttpOptions = {}): Promise<HttpServer> {
    const limits = { ...LIMITS, ...given };
    const endpoint = parseEndpoint(`tcp://${text.replace(/^http:\/\//, "").replace(/^:/, "127.0.0.1:")}`);
    if (!("host" in endpoint)) throw new EndpointError(`Cannot listen for HTTP on '${text}': it has no host`);
    const sampler = new Sampler(broker, limits.sampleInterval);
    const page = new Page(backendOf(broker), given.pageWrites ?? false);
    const context = { broker, bound: endpoint.host, maxBody: limits.body, sampler, page };
    const server = http.createServer({
      maxHeaderSize: limits.head,
      headersTimeout: limits.headTime,
      requestTimeout: limits.time,
      connectionsCheckingInterval: Math.min(1000, limits.headTime),
    }, (request, response) => void serve(context, request, response));
    server.maxConnections = limits.connections;
    // A client of another protocol reads that this is HTTP.
    server.on("clientError", (_error, socket) => {
      if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
      else socket.destroy();
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error: NodeJS.ErrnoException) => {
        const what = `Cannot listen for HTTP on '${text}': ${error.message}`;
        reject(
          error.code === "EADDRINUSE"
            ? new AddressInUseError(what)
            : new EndpointError(what, { cause: error }),
        );
      });
      server.listen(endpoint.port, endpoint.host === "*" ? "::" : endpoint.host, resolve);
    });
    sampler.start();
    return new HttpServer(server, sampler);
  }

  /** Closes the listener and all connections. */
  close(): Promise<void> {
    this.sampler.close();
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

/** What the handling of a request needs of its server. */
interface ServerContext {
  readonly broker: HttpHost;
  /** The name or address that the server listens on. */
  readonly bound: string;
  /** Limit of bodies, in bytes. */
  readonly maxBody: number;
  readonly sampler: Sampler;
  readonly page: Page;
}

async function serve(
  context: ServerContext,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<void> {
  try {
    checkHost(request, context.bound);
    const { status, headers, body } = await answer(context, request);
    response.writeHead(status, { ...headers, "content-length": body.length });
    response.end(request.method === "HEAD" ? undefined : body);
  } catch (thrown) {
    const error = httpErrorFor(thrown);
    const body = Buffer.from(JSON.stringify({ error: error.kind, reason: error.message }));
    // The rest of the request is not read.
    const rest = error.status === 413 ? { connection: "close" } : {};
    // A browser would ask for a password itself.
    const isAsked = error.status === 401 && request.headers[PAGE_HEADER] === undefined;
    const challenge = isAsked ? { "www-authenticate": 'Basic realm="mqcat"' } : {};
    response.writeHead(error.status, {
      ...SECURITY_HEADERS,
      "content-type": "application/json",
      "content-length": body.length,
      ...rest,
      ...challenge,
      ...error.headers,
    });
    response.end(body);
  }
}

async function answer(
  context: ServerContext,
  request: http.IncomingMessage,
): Promise<{ readonly status: number; readonly headers: http.OutgoingHttpHeaders; readonly body: Buffer }> {
  const { page, maxBody } = context;
  const { headers } = request;
  const [path] = splitAt(request.url ?? "/", "?");
  const method = request.method ?? "";
  const asked = { method, path, headers, isLocal: isLocal(request), body: () => readBody(request, maxBody) };
  const shown = await page.answer(asked);
  if (shown !== undefined) return { ...shown, body: Buffer.from(shown.body) };
  checkOrigin(headers);
  const authorization = headers.authorization ?? page.authorize(asked);
  const user = authenticate(context.broker, authorization ?? "", isLocal(request));
  const reply = await answerApi(context, request, user);
  const body = Buffer.from(reply.body);
  return {
    status: reply.status,
    headers: {
      ...SECURITY_HEADERS,
      "cache-control": "no-cache",
      ...(body.length > 0 ? { "content-type": reply.type } : {}),
      ...reply.headers,
    },
    body,
  };
}

async function answerApi(
  { broker, maxBody, sampler }: ServerContext,
  request: http.IncomingMessage,
  user: StoredUser,
): Promise<Reply> {
  const [path, query] = splitAt(request.url ?? "/", "?");
  const method = request.method === "HEAD" ? "GET" : request.method ?? "";
  const { handler, params } = API.find(method, path);
  const body = method === "GET" || method === "DELETE" ? "" : await readBody(request, maxBody);
  const given = await handler(
    new ApiRequest(broker, user, params, new URLSearchParams(query), body, sampler),
  );
  if (given instanceof Reply) return given;
  return given === undefined ? new Reply(204) : new Reply(200, JSON.stringify(given));
}

/** What the page needs of the broker. */
function backendOf(broker: HttpHost): PageBackend {
  return {
    whoami(authorization, isLocal) {
      const { name, tags } = authenticate(broker, authorization, isLocal);
      return Promise.resolve({ name, tags });
    },
    features: () => Promise.resolve({ peek: true, move: true }),
  };
}

/**
 * @param authorization the header
 * @throws {HttpError} 401
 */
function authenticate(broker: HttpHost, authorization: string, isLocal: boolean): StoredUser {
  const [scheme, encoded] = splitAt(authorization, " ");
  if (scheme.toLowerCase() !== "basic") throw notAuthorised("Login failed");
  const given = Buffer.from(encoded, "base64");
  const colon = given.indexOf(0x3a);
  if (colon < 0) throw notAuthorised("Login failed");
  const name = given.subarray(0, colon).toString();
  const refusal = broker.core.users.authenticate(name, given.subarray(colon + 1), isLocal);
  const user = broker.core.users.get(name);
  broker.core.counters.countLogin("http", refusal === undefined);
  if (refusal !== undefined || user === undefined) throw notAuthorised("Login failed");
  if (!user.tags.some((tag) => TAGS.includes(tag))) throw notAuthorised("Not management user");
  return user;
}

/** Splits a text at the first separator. */
function splitAt(text: string, separator: string): [before: string, after: string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + separator.length)];
}
