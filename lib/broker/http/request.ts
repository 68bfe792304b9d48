import { JsonObject } from "../core/definitions/json_object.ts";
import type { Json } from "../core/definitions/table.ts";
import type { Queue } from "../core/queue/queue.ts";
import { nodeName } from "../core/queue/queue_row.ts";
import type { StoredUser } from "../core/topology/definition_change.ts";
import type { Access } from "../core/users/user_store.ts";
import type { VirtualHost } from "../core/topology/vhost.ts";
import type { BrokerCore } from "../core/broker_core.ts";
import type { HttpHost } from "./host.ts";
import { Rates } from "./rates/rates.ts";
import type { Sampler } from "./rates/sampler.ts";
import { notAuthorised, notFound } from "./errors.ts";

/** An answer that is not just JSON with status 200. */
export class Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    body = "",
    type = "application/json",
    headers: Readonly<Record<string, string>> = {},
  ) {
    this.status = status;
    this.body = body;
    this.type = type;
    this.headers = headers;
  }
}

/** The result of a handler: undefined is status 204, everything but a `Reply` is JSON with status 200. */
export type Answer = Json | undefined | Reply;

/** Answers the requests with one method and path. */
export type Handler = (request: ApiRequest) => Answer | Promise<Answer>;

/** The name of the default exchange in paths. */
const DEFAULT_EXCHANGE = "amq.default";

/** A request of an authenticated user, with everything that a handler needs. */
export class ApiRequest {
  readonly broker: HttpHost;
  readonly user: StoredUser;
  readonly query: URLSearchParams;
  /** The rates of all counters, and the samples that the query asks for. */
  readonly rates: Rates;
  readonly #params: Readonly<Record<string, string>>;
  readonly #body: string;

  constructor(
    broker: HttpHost,
    user: StoredUser,
    params: Readonly<Record<string, string>>,
    query: URLSearchParams,
    body: string,
    sampler: Sampler,
  ) {
    this.broker = broker;
    this.user = user;
    this.query = query;
    this.rates = new Rates(sampler, query);
    this.#params = params;
    this.#body = body;
  }

  get core(): BrokerCore {
    return this.broker.core;
  }

  /** The name of the broker's only node. */
  get node(): string {
    return nodeName(this.broker.options.product);
  }

  /** A part of the path. */
  param(name: string): string {
    return this.#params[name]!;
  }

  /** A part of the path that not every path has. */
  optional(name: string): string | undefined {
    return this.#params[name];
  }

  /** @throws {SyntaxError} the body is not JSON */
  json(): Json {
    if (this.#body === "") return {};
    try {
      return JSON.parse(this.#body);
    } catch (error) {
      throw new SyntaxError("the body is not valid JSON", { cause: error });
    }
  }

  /** @throws {SyntaxError | JsonError} the body is not a JSON object */
  jsonObject(): JsonObject {
    return new JsonObject("", this.json());
  }

  /** Whether the user has one of the tags; administrators have all. */
  is(...tags: readonly string[]): boolean {
    return ["administrator", ...tags].some((tag) => this.user.tags.includes(tag));
  }

  /** @throws {HttpError} 401: the user has none of the tags */
  require(...tags: readonly string[]): void {
    if (!this.is(...tags)) throw notAuthorised(`User must be ${tags[0] ?? "an administrator"}`);
  }

  /** The virtual hosts that the user may see. */
  vhosts(): VirtualHost[] {
    const { users, vhosts } = this.core;
    const all = [...vhosts.values()];
    if (this.is("monitoring")) return all;
    return all.filter(({ name }) => users.accessTo(this.user.name, name) !== undefined);
  }

  /**
   * The virtual host in the path.
   *
   * @throws {HttpError} 404: it does not exist, or the user may not see it
   */
  vhost(): VirtualHost {
    const name = this.param("vhost");
    const vhost = this.vhosts().find((one) => one.name === name);
    if (vhost === undefined) throw notFound();
    return vhost;
  }

  /** The virtual host in the path, or all that the user may see. */
  vhostsInPath(): VirtualHost[] {
    return "vhost" in this.#params ? [this.vhost()] : this.vhosts();
  }

  /**
   * The permissions of the user in the virtual host of the path.
   *
   * @throws {HttpError} 401: there are none
   */
  access(): Access {
    const vhost = this.vhost().name;
    const access = this.core.users.accessTo(this.user.name, vhost);
    if (access === undefined) {
      throw notAuthorised(`access to vhost '${vhost}' refused for user '${this.user.name}'`);
    }
    return access;
  }

  /**
   * The queue in the path.
   *
   * @throws {HttpError} 404: it does not exist
   */
  queue(): Queue {
    const queue = this.vhost().queues.get(this.param("name"));
    if (queue === undefined) throw notFound();
    return queue;
  }

  /** The name of the exchange in the path, as clients write it. */
  exchangeName(param = "name"): string {
    const name = this.param(param);
    return name === DEFAULT_EXCHANGE ? "" : name;
  }

  /** Runs a change within a cycle of the broker. */
  change<T>(work: () => T): T {
    const { cycle } = this.core;
    cycle.begin();
    try {
      return work();
    } finally {
      cycle.end();
    }
  }
}
