import { withoutLogin } from "../../../lib/amqp/client/http_api.ts";
import { messageOf } from "../../../lib/errors.ts";
import type { PageBackend, PageFeatures, PageUser } from "../../../lib/page/page.ts";
import { PageError } from "../../../lib/page/page_error.ts";

/** The time limit for a request, in milliseconds. */
const TIMEOUT_MS = 30_000;

/** A response of the HTTP API. */
export interface ApiReply {
  readonly status: number;
  /** The media type; empty without a body. */
  readonly type: string;
  readonly body: string;
}

/** The HTTP API of a broker, RabbitMQ or ours, with the logins of users. */
export class ApiClient implements PageBackend {
  /** Whether it is a broker of mqcat, which can also show and move messages; known after the first login. */
  isOurs = false;
  /** Without logins: each user of the page has its own. */
  readonly bases: readonly string[];

  /** @param bases URLs of the API; the first one that answers is used */
  constructor(bases: readonly string[]) {
    this.bases = bases.map(withoutLogin);
  }

  async whoami(authorization: string): Promise<PageUser> {
    const { status, body } = await this.send("GET", "/api/whoami", authorization);
    if (status === 401) {
      throw new PageError(401, "not_authorised", "Login failed: the user may need the tag management");
    }
    if (status !== 200) {
      throw new PageError(502, "bad_gateway", `the HTTP API answered with status ${status}`);
    }
    const { name, tags } = JSON.parse(body);
    // Before RabbitMQ 3.9 it was a list in a text.
    return { name, tags: Array.isArray(tags) ? tags : String(tags).split(",") };
  }

  async features(authorization: string): Promise<PageFeatures> {
    // Only our broker knows the path, and refuses the method.
    const { status } = await this.send("GET", "/api/queues/%2F/any/peek", authorization);
    this.isOurs = status === 405;
    return { peek: this.isOurs, move: true };
  }

  /** @throws {PageError} 502: it does not answer */
  async send(method: string, url: string, authorization: string, body?: string): Promise<ApiReply> {
    let failure = "";
    for (const base of this.bases) {
      try {
        const response = await fetch(base + url, {
          method,
          headers: {
            authorization,
            ...(body === undefined ? {} : { "content-type": "application/json" }),
          },
          ...(body === undefined ? {} : { body }),
          signal: AbortSignal.timeout(TIMEOUT_MS),
          redirect: "error",
        });
        const type = response.headers.get("content-type") ?? "";
        return { status: response.status, type, body: await response.text() };
      } catch (error) {
        failure = `the HTTP API does not answer at ${base}: ${messageOf(error)}`;
      }
    }
    throw new PageError(502, "bad_gateway", failure);
  }
}
