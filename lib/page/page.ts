import { Buffer } from "node:buffer";
import type { IncomingHttpHeaders } from "node:http";
import { type Asset, ASSETS } from "./assets.ts";
import { PageError } from "./page_error.ts";
import { Sessions } from "./sessions.ts";
import { checkOrigin, PAGE_HEADER, SECURITY_HEADERS } from "./site.ts";

/** A request to the server of the page. */
export interface PageRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Whether the client is on this machine. */
  readonly isLocal: boolean;
  body(): Promise<string>;
}

/** A response. */
export interface PageReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | string;
}

/** What the page can do at its broker beyond RabbitMQ's HTTP API. */
export interface PageFeatures {
  /** Whether `POST /api/queues/:vhost/:name/peek` shows messages without changing the queue. */
  readonly peek: boolean;
  /** Whether `POST /api/queues/:vhost/:name/move` moves messages to another queue. */
  readonly move: boolean;
}

/** A user, as `GET /api/whoami` describes it. */
export interface PageUser {
  readonly name: string;
  readonly tags: readonly string[];
}

/** The broker of a page. */
export interface PageBackend {
  /**
   * Checks a login.
   *
   * @param authorization the value of the header `Authorization`
   * @param isLocal whether the client is on this machine
   * @throws {Error} it is refused
   */
  whoami(authorization: string, isLocal: boolean): Promise<PageUser>;
  features(authorization: string): Promise<PageFeatures>;
}

const SESSION = "/page/session";

/**
 * The web page: its files, and its logins. A login is a session: the browser has its random token in a cookie,
 * which scripts cannot read and other sites cannot send, and the password stays here.
 */
export class Page {
  readonly #backend: PageBackend;
  readonly #canWrite: boolean;
  readonly #sessions = new Sessions();

  /** @param canWrite whether the page may change anything at the broker */
  constructor(backend: PageBackend, canWrite: boolean) {
    this.#backend = backend;
    this.#canWrite = canWrite;
  }

  /**
   * Answers a request for a file or a session.
   *
   * @returns undefined: the request is for another part of the server
   * @throws {PageError} it is refused
   */
  async answer(request: PageRequest): Promise<PageReply | undefined> {
    const { method, path } = request;
    const asset = ASSETS.get(path);
    if (asset !== undefined) {
      if (method !== "GET" && method !== "HEAD") throw notAllowed("GET");
      return file(asset, request.headers);
    }
    if (path !== SESSION) return undefined;
    checkOrigin(request.headers);
    if (request.headers[PAGE_HEADER] === undefined) {
      throw new PageError(403, "forbidden", "no request of the page");
    }
    switch (method) {
      case "GET":
        return await this.#current(request);
      case "POST":
        return await this.#logIn(request);
      case "DELETE":
        return this.#logOut(request.headers);
      default:
        throw notAllowed("GET, POST or DELETE");
    }
  }

  /**
   * The login of the session that a request of the page belongs to, for the HTTP API.
   *
   * @returns the value of the header `Authorization`; undefined if the request is not one of the page
   * @throws {PageError} 401: the session is over; 403: the page must not change anything
   */
  authorize({ method, path, headers }: Pick<PageRequest, "method" | "path" | "headers">): string | undefined {
    if (headers[PAGE_HEADER] === undefined) return undefined;
    const authorization = this.#authorization(headers);
    const isRead = method === "GET" || method === "HEAD" || /^\/api\/queues\/[^/]+\/[^/]+\/peek$/.test(path);
    if (!isRead && !this.#canWrite) throw new PageError(403, "read_only", "this page is read-only");
    return authorization;
  }

  /** Describes the user of the session; `null` without one. */
  async #current({ headers, isLocal }: PageRequest): Promise<PageReply> {
    try {
      return await this.#show(this.#authorization(headers), isLocal);
    } catch (error) {
      if ((error as Partial<PageError>).status === 401) return json(200, null);
      throw error;
    }
  }

  async #logIn({ headers, isLocal, body }: PageRequest): Promise<PageReply> {
    const { user, password } = readLogin(await body());
    const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
    const shown = await this.#show(authorization, isLocal);
    const cookie = `${cookieName(headers)}=${this.#sessions.start(authorization, Date.now())}`;
    return { ...shown, headers: { ...shown.headers, "set-cookie": `${cookie}; ${COOKIE}` } };
  }

  #logOut(headers: IncomingHttpHeaders): PageReply {
    const token = tokenOf(headers);
    if (token !== undefined) this.#sessions.end(token);
    return json(200, { ended: true }, { "set-cookie": `${cookieName(headers)}=; Max-Age=0; ${COOKIE}` });
  }

  /** Describes the user of a session. */
  async #show(authorization: string, isLocal: boolean): Promise<PageReply> {
    const { name, tags } = await this.#backend.whoami(authorization, isLocal);
    const features = await this.#backend.features(authorization);
    return json(200, { name, tags, write: this.#canWrite, ...features });
  }

  /** @throws {PageError} 401 */
  #authorization(headers: IncomingHttpHeaders): string {
    const token = tokenOf(headers);
    const authorization = token === undefined ? undefined : this.#sessions.authorizationOf(token, Date.now());
    if (authorization === undefined) throw new PageError(401, "not_authorised", "Log in first");
    return authorization;
  }
}

/** The cookie is not for scripts, and not sent with requests that another site has caused. */
const COOKIE = "Path=/; HttpOnly; SameSite=Strict";

/** Cookies are shared by all ports of a host: each server has its own. */
function cookieName({ host = "" }: IncomingHttpHeaders): string {
  return `mqcat-${/:(\d+)$/.exec(host)?.[1] ?? 80}`;
}

function tokenOf(headers: IncomingHttpHeaders): string | undefined {
  const prefix = `${cookieName(headers)}=`;
  const found = (headers.cookie ?? "").split(/; */).find((cookie) => cookie.startsWith(prefix));
  return found?.slice(prefix.length) || undefined;
}

/** @throws {PageError} 400 */
function readLogin(body: string): { user: string; password: string } {
  try {
    const { user, password } = JSON.parse(body);
    if (typeof user === "string" && typeof password === "string" && !user.includes(":")) {
      return { user, password };
    }
  } catch {
    // The error is the same.
  }
  throw new PageError(400, "bad_request", "a login has a user and a password");
}

function file(asset: Asset, headers: IncomingHttpHeaders): PageReply {
  const shared = {
    ...SECURITY_HEADERS,
    "cache-control": "no-cache",
    etag: asset.tag,
    vary: "accept-encoding",
  };
  if (headers["if-none-match"] === asset.tag) return { status: 304, headers: shared, body: "" };
  const isZipped = /\bgzip\b/.test(String(headers["accept-encoding"] ?? ""));
  return {
    status: 200,
    headers: {
      ...shared,
      "content-type": asset.type,
      ...(isZipped ? { "content-encoding": "gzip" } : {}),
    },
    body: isZipped ? asset.gzipped : asset.body,
  };
}

function json(status: number, value: unknown, headers: Record<string, string> = {}): PageReply {
  return {
    status,
    headers: {
      ...SECURITY_HEADERS,
      "cache-control": "no-store",
      "content-type": "application/json",
      ...headers,
    },
    body: JSON.stringify(value),
  };
}

function notAllowed(methods: string): PageError {
  return new PageError(405, "method_not_allowed", `Use ${methods}`);
}
