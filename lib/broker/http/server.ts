import { Buffer } from "node:buffer";
import http from "node:http";
import type net from "node:net";
import { AddressInUseError, EndpointError, messageOf } from "../../errors.ts";
import { parseEndpoint } from "../../transport/endpoint.ts";
import type { StoredUser } from "../core/topology/definition_change.ts";
import { HttpError, httpErrorFor, notAuthorised } from "./errors.ts";
import { ApiRequest, Reply } from "./request.ts";
import type { HttpHost } from "./host.ts";
import { isOwnHost } from "./host_header.ts";
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
  static async listen(broker: HttpHost, text: string, given: Partial<HttpLimits> = {}): Promise<HttpServer> {
    const limits = { ...LIMITS, ...given };
    const endpoint = parseEndpoint(`tcp://${text.replace(/^http:\/\//, "").replace(/^:/, "127.0.0.1:")}`);
    if (!("host" in endpoint)) throw new EndpointError(`Cannot listen for HTTP on '${text}': it has no host`);
    const sampler = new Sampler(broker, limits.sampleInterval);
    const context = { broker, bound: endpoint.host, maxBody: limits.body, sampler };
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
}

async function serve(
  context: ServerContext,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<void> {
  try {
    checkSite(request, context.bound);
    const reply = await answer(context, request);
    const body = Buffer.from(reply.body);
    response.writeHead(reply.status, {
      "cache-control": "no-cache",
      ...(body.length > 0 ? { "content-type": reply.type } : {}),
      "content-length": body.length,
      ...reply.headers,
    });
    response.end(request.method === "HEAD" ? undefined : body);
  } catch (thrown) {
    const error = httpErrorFor(thrown);
    const body = Buffer.from(JSON.stringify({ error: error.kind, reason: error.message }));
    // The rest of the request is not read.
    const rest = error.status === 413 ? { connection: "close" } : {};
    const challenge = error.status === 401 ? { "www-authenticate": 'Basic realm="mqcat"' } : {};
    response.writeHead(error.status, {
      "content-type": "application/json",
      "content-length": body.length,
      ...rest,
      ...challenge,
      ...error.headers,
    });
    response.end(body);
  }
}

/**
 * Refuses requests of web pages. Only requests from this machine need the right `Host`: the standard password of `guest`,
 * which every web page knows, is not valid from elsewhere, and other machines can know this one by any name.
 *
 * @throws {HttpError} 403
 */
function checkSite(request: http.IncomingMessage, bound: string): void {
  const { origin, host } = request.headers;
  // Browsers send it with requests of other sites, together with the password that they have stored.
  if (origin !== undefined) throw new HttpError(403, "forbidden", "no requests of web pages");
  if (host === undefined || !isLocal(request) || isOwnHost(host, bound)) return;
  const reason = `the Host header '${host}' does not name this machine: use localhost or an IP address`;
  throw new HttpError(403, "forbidden", reason);
}

/** Whether the client is on this machine. */
function isLocal({ socket }: http.IncomingMessage): boolean {
  return /^(127\.|::1$|::ffff:127\.)/.test(socket.remoteAddress ?? "");
}

async function answer(
  { broker, maxBody, sampler }: ServerContext,
  request: http.IncomingMessage,
): Promise<Reply> {
  const user = authenticate(broker, request);
  const [path, query] = splitAt(request.url ?? "/", "?");
  const method = request.method === "HEAD" ? "GET" : request.method ?? "";
  const { handler, params } = API.find(method, path);
  const body = method === "GET" || method === "DELETE" ? "" : await bodyOf(request, maxBody);
  const given = await handler(
    new ApiRequest(broker, user, params, new URLSearchParams(query), body, sampler),
  );
  if (given instanceof Reply) return given;
  return given === undefined ? new Reply(204) : new Reply(200, JSON.stringify(given));
}

/** @throws {HttpError} 401 */
function authenticate(broker: HttpHost, request: http.IncomingMessage): StoredUser {
  const [scheme, encoded] = splitAt(request.headers.authorization ?? "", " ");
  if (scheme.toLowerCase() !== "basic") throw notAuthorised("Login failed");
  const given = Buffer.from(encoded, "base64");
  const colon = given.indexOf(0x3a);
  if (colon < 0) throw notAuthorised("Login failed");
  const name = given.subarray(0, colon).toString();
  const refusal = broker.core.users.authenticate(name, given.subarray(colon + 1), isLocal(request));
  const user = broker.core.users.get(name);
  broker.core.counters.countLogin("http", refusal === undefined);
  if (refusal !== undefined || user === undefined) throw notAuthorised("Login failed");
  if (!user.tags.some((tag) => TAGS.includes(tag))) throw notAuthorised("Not management user");
  return user;
}

/** @throws {HttpError} 413: it is too large */
async function bodyOf(request: http.IncomingMessage, limit: number): Promise<string> {
  const tooLarge = () => new HttpError(413, "too_large", `the body has over ${limit} bytes`);
  if (Number(request.headers["content-length"] ?? 0) > limit) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of request as AsyncIterable<Uint8Array>) {
      size += chunk.length;
      if (size > limit) throw tooLarge();
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof HttpError ? error : new HttpError(400, "bad_request", messageOf(error));
  }
  return Buffer.concat(chunks).toString();
}

/** Splits a text at the first separator. */
function splitAt(text: string, separator: string): [before: string, after: string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + separator.length)];
}
