import { Buffer } from "node:buffer";
import http from "node:http";
import type net from "node:net";
import { AddressInUseError, EndpointError, messageOf } from "../../../lib/errors.ts";
import { readBody } from "../../../lib/page/body.ts";
import { Page } from "../../../lib/page/page.ts";
import { PageError } from "../../../lib/page/page_error.ts";
import { checkHost, checkOrigin, isLocal, SECURITY_HEADERS } from "../../../lib/page/site.ts";
import type { ApiClient, ApiReply } from "./api_client.ts";

/** The largest body, in bytes: definitions of another broker are not sent through the page. */
const MAX_BODY = 16 * 2 ** 20;

/** A request to move messages. */
export interface MoveRequest {
  readonly vhost: string;
  readonly from: string;
  readonly to: string;
  /** Undefined: all that are ready now. */
  readonly count: number | undefined;
}

/** What the server of a page needs. */
export interface PageServerOptions {
  readonly api: ApiClient;
  readonly write: boolean;
  /**
   * Moves messages with the login of the page.
   *
   * @returns their number
   */
  move(request: MoveRequest, authorization: string): Promise<number>;
}

/** Serves the page for a broker that has an HTTP API, and passes the requests of the page on to it. */
export class PageServer {
  readonly url: string;
  readonly #server: http.Server;

  private constructor(server: http.Server) {
    this.#server = server;
    const { address, family, port } = server.address() as net.AddressInfo;
    this.url = `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
  }

  /** @throws {EndpointError | AddressInUseError} the address cannot be bound */
  static async listen(host: string, port: number, options: PageServerOptions): Promise<PageServer> {
    const page = new Page(options.api, options.write);
    const server = http.createServer(
      { maxHeaderSize: 16 * 1024, requestTimeout: 30_000 },
      (request, response) => {
        void serve(page, options, host, request, response);
      },
    );
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error: NodeJS.ErrnoException) => {
        const what = `Cannot listen for HTTP on '${host}:${port}': ${error.message}`;
        reject(
          error.code === "EADDRINUSE"
            ? new AddressInUseError(what)
            : new EndpointError(what, { cause: error }),
        );
      });
      server.listen(port, host, resolve);
    });
    return new PageServer(server);
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

async function serve(
  page: Page,
  options: PageServerOptions,
  bound: string,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<void> {
  try {
    checkHost(request, bound);
    const [path = "/"] = (request.url ?? "/").split("?");
    const asked = {
      method: request.method ?? "GET",
      path,
      headers: request.headers,
      isLocal: isLocal(request),
      body: () => readBody(request, MAX_BODY),
    };
    const shown = await page.answer(asked);
    if (shown !== undefined) return end(request, response, shown.status, shown.headers, shown.body);
    checkOrigin(request.headers);
    const authorization = page.authorize(asked);
    if (authorization === undefined || !path.startsWith("/api/")) {
      throw new PageError(404, "not_found", "Not Found");
    }
    const reply = await passOn(options, asked.method, request.url!, authorization, asked.body);
    const type = reply.type === "" ? {} : { "content-type": reply.type };
    end(
      request,
      response,
      reply.status,
      { ...SECURITY_HEADERS, "cache-control": "no-store", ...type },
      reply.body,
    );
  } catch (error) {
    const { status, kind } = error instanceof PageError ? error : new PageError(502, "bad_gateway", "");
    const body = JSON.stringify({ error: kind, reason: messageOf(error) });
    end(request, response, status, { ...SECURITY_HEADERS, "content-type": "application/json" }, body);
  }
}

function end(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  content: string | Uint8Array,
): void {
  const body = Buffer.from(content);
  const length = status === 204 || status === 304 ? {} : { "content-length": body.length };
  response.writeHead(status, { ...headers, ...length });
  response.end(request.method === "HEAD" ? undefined : body);
}

/** Sends a request of the page to the broker. A move is not one of RabbitMQ's requests. */
async function passOn(
  { api, move }: PageServerOptions,
  method: string,
  url: string,
  authorization: string,
  body: () => Promise<string>,
): Promise<ApiReply> {
  const hasBody = method !== "GET" && method !== "HEAD" && method !== "DELETE";
  const moving = /^\/api\/queues\/([^/]+)\/([^/]+)\/move$/.exec(url);
  if (moving === null || method !== "POST" || api.isOurs) {
    return await api.send(method, url, authorization, hasBody ? await body() : undefined);
  }
  const { destination, count } = readMove(await body());
  const [vhost = "", from = ""] = moving.slice(1).map(decodeURIComponent);
  const moved = await move({ vhost, from, to: destination, count }, authorization);
  return { status: 200, type: "application/json", body: JSON.stringify({ moved }) };
}

/** @throws {PageError} 400 */
function readMove(text: string): { readonly destination: string; readonly count: number | undefined } {
  try {
    const { destination, count } = JSON.parse(text);
    const isCount = count === undefined || Number.isInteger(count) && count > 0;
    if (typeof destination === "string" && isCount) return { destination, count };
  } catch {
    // The error is the same.
  }
  throw new PageError(400, "bad_request", "a move needs a destination, and may have a count");
}
