import type { Broker } from "../server.ts";
import { JsonObject } from "../core/definitions/json_object.ts";
import type { Json } from "../core/definitions/table.ts";
import type { Queue } from "../core/queue/queue.ts";
import type { StoredUser } from "../core/topology/definition_change.ts";
import type { Access } from "../core/users/user_store.ts";
import type { VirtualHost } from "../core/topology/vhost.ts";
import { notAuthorised, notFound } from "./errors.ts";

/** An answer that is not simply JSON with status 200. */
export class Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string;

  constructor(status: number, body = "", type = "application/json") {
    this.status = status;
    this.body = body;
    this.type = type;
  }
}

/** A part of the answer: undefined is 204, a `Reply` is itself, everything else JSON. */
export type Answer = Json | undefined | Reply;

/** What answers the requests of one method and path. */
export type Handler = (request: ApiRequest) => Answer | Promise<Answer>;

/** The name of the default exchange in paths. */
const DEFAULT_EXCHANGE = "amq.default";

/** One request of a user who is known, with everything that a handler needs. */
export class ApiRequest {
  readonly broker: Broker;
  readonly user: StoredUser;
  readonly query: URLSearchParams;
  readonly #params: Readonly<Record<string, string>>;
  readonly #body: string;

  constructor(
    broker: Broker,
    user: StoredUser,
    params: Readonly<Record<string, string>>,
    query: URLSearchParams,
    body: string,
  ) {
    this.broker = broker;
    this.user = user;
    this.query = query;
    this.#params = params;
    this.#body = body;
  }

  /** A part of the path. */
  param(name: string): string {
    return this.#params[name]!;
  }

  /** @throws {SyntaxError} the body is no JSON */
  json(): Json {
    return this.#body === "" ? {} : JSON.parse(this.#body);
  }

  /** @throws {SyntaxError | JsonError} the body is no JSON object */
  jsonObject(): JsonObject {
    return new JsonObject("", this.json());
  }

  /** Whether the user has one of the tags; administrators have all. */
  is(...tags: readonly string[]): boolean {
    return ["administrator", ...tags].some((tag) => this.user.tags.includes(tag));
  }

  /** @throws {HttpError} 401: the user is none of them */
  require(...tags: readonly string[]): void {
    if (!this.is(...tags)) throw notAuthorised(`User must be ${tags[0] ?? "an administrator"}`);
  }

  /** The virtual hosts that the user may see. */
  vhosts(): VirtualHost<Queue>[] {
    const { users, vhosts } = this.broker;
    const all = [...vhosts.values()];
    if (this.is("monitoring")) return all;
    return all.filter(({ name }) => users.accessTo(this.user.name, name) !== undefined);
  }

  /**
   * The virtual host in the path.
   *
   * @throws {HttpError} 404: there is none, or the user may not see it
   */
  vhost(): VirtualHost<Queue> {
    const name = this.param("vhost");
    const vhost = this.vhosts().find((one) => one.name === name);
    if (vhost === undefined) throw notFound();
    return vhost;
  }

  /** Those of the path, or all that the user may see. */
  vhostsInPath(): VirtualHost<Queue>[] {
    return "vhost" in this.#params ? [this.vhost()] : this.vhosts();
  }

  /**
   * What the user may do in the virtual host of the path.
   *
   * @throws {HttpError} 401: nothing
   */
  access(): Access {
    const vhost = this.vhost().name;
    const access = this.broker.users.accessTo(this.user.name, vhost);
    if (access === undefined) {
      throw notAuthorised(`access to vhost '${vhost}' refused for user '${this.user.name}'`);
    }
    return access;
  }

  /**
   * The queue in the path.
   *
   * @throws {HttpError} 404: there is none
   */
  queue(): Queue {
    const queue = this.vhost().queues.get(this.param("name"));
    if (queue === undefined) throw notFound();
    return queue;
  }

  /** The name of the exchange in the path, by the name that it has for clients. */
  exchangeName(param = "name"): string {
    const name = this.param(param);
    return name === DEFAULT_EXCHANGE ? "" : name;
  }

  /** Does work that changes something within a turn of the broker, as a client's would. */
  change<T>(work: () => T): T {
    this.broker.begin();
    try {
      return work();
    } finally {
      this.broker.end();
    }
  }
}
