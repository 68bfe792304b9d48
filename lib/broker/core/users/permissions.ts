import { amqpError } from "../../../amqp/amqp_error.ts";
import { resource } from "../arguments.ts";
import { compilePattern, compileStoredPattern, type Pattern } from "../../../regex/pattern.ts";
import type { Permission, TopicPermission } from "../topology/definition_change.ts";

/** The kind of access that an operation needs (https://www.rabbitmq.com/access-control.html#authorisation). */
export type Operation = keyof Permission;

/** The number of results that one connection caches. */
const MAX_ANSWERS = 256;

/** A user's permission in one virtual host, with compiled patterns. */
export interface CompiledPermission {
  readonly source: Permission;
  readonly configure: Pattern;
  readonly write: Pattern;
  readonly read: Pattern;
}

/**
 * Compiles the patterns of a permission.
 *
 * @param compile compiles one pattern
 * @throws {SyntaxError} a pattern is invalid
 */
export function compilePermission(source: Permission, compile = compilePattern): CompiledPermission {
  return {
    source,
    configure: compile(source.configure),
    write: compile(source.write),
    read: compile(source.read),
  };
}

/** In a topic permission: the identifier of an MQTT client. Other clients have none, and it stands for itself. */
const CLIENT_ID = "{client_id}";

/** A user's topic permission for one exchange. It caches the routing keys that are allowed. */
export class CompiledTopicPermission {
  readonly source: TopicPermission;
  readonly #patterns: { readonly write: Pattern; readonly read: Pattern };
  readonly #allowed = { write: new Set<string>(), read: new Set<string>() };
  readonly #user: string;
  readonly #vhost: string;

  /**
   * @param compile compiles one pattern
   * @throws {SyntaxError} a pattern is invalid
   */
  constructor(source: TopicPermission, user: string, vhost: string, compile = compilePattern) {
    this.source = source;
    this.#user = user;
    this.#vhost = vhost;
    const expand = (pattern: string) =>
      compile(
        pattern.replaceAll("{username}", () => literal(user)).replaceAll("{vhost}", () => literal(vhost)),
      );
    this.#patterns = { write: expand(source.write), read: expand(source.read) };
  }

  /** Returns the permission of one MQTT client. A pattern that its identifier makes too long allows nothing. */
  forClient(clientId: string): CompiledTopicPermission {
    const { write, read } = this.source;
    if (!write.includes(CLIENT_ID) && !read.includes(CLIENT_ID)) return this;
    const expand = (pattern: string) => pattern.replaceAll(CLIENT_ID, () => literal(clientId));
    const source = { write: expand(write), read: expand(read) };
    return new CompiledTopicPermission(source, this.#user, this.#vhost, compileStoredPattern);
  }

  allows(operation: "write" | "read", routingKey: string): boolean {
    const allowed = this.#allowed[operation];
    if (allowed.has(routingKey)) return true;
    if (!this.#patterns[operation].test(routingKey)) return false;
    if (allowed.size === MAX_ANSWERS) allowed.clear();
    allowed.add(routingKey);
    return true;
  }
}

/** Escapes a name for a pattern. */
function literal(name: string): string {
  return name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

/** The permissions of a connection's user in its virtual host. It caches the results of checks. */
export class Access {
  readonly user: string;
  readonly vhost: string;
  readonly #permission: () => CompiledPermission | undefined;
  #compiled: CompiledPermission | undefined;
  readonly #allowed = new Set<string>();
  readonly #topics: () => ReadonlyMap<string, CompiledTopicPermission> | undefined;
  readonly #store: { readonly revision: number };
  readonly #clientId: string | undefined;
  /** The topic permissions that name the client, by those that they are made of. */
  readonly #own = new WeakMap<CompiledTopicPermission, CompiledTopicPermission>();

  /**
   * @param permission returns the current permission; undefined if the user has none
   * @param topics returns the current topic permissions by exchange; undefined if the user has none
   * @param store see `revision`
   * @param clientId the identifier of an MQTT client, as it is in routing keys
   */
  constructor(
    user: string,
    vhost: string,
    permission: () => CompiledPermission | undefined,
    topics: () => ReadonlyMap<string, CompiledTopicPermission> | undefined = () => undefined,
    store: { readonly revision: number } = { revision: 0 },
    clientId?: string,
  ) {
    this.user = user;
    this.vhost = vhost;
    this.#permission = permission;
    this.#topics = topics;
    this.#store = store;
    this.#clientId = clientId;
  }

  /** Changes when a check that succeeded may fail now. */
  get revision(): number {
    return this.#store.revision;
  }

  /**
   * Checks a topic permission: of a publish (`write`) or of a binding (`read`). Only topic exchanges have them.
   *
   * @param exchanges the exchanges of the virtual host
   * @throws {AmqpError} 403: the user must not use this routing key
   */
  checkTopic(
    operation: "write" | "read",
    exchanges: ReadonlyMap<string, { readonly definition: { readonly type: string } }>,
    name: string,
    routingKey: string,
  ): void {
    const topics = this.#topics();
    if (topics === undefined || exchanges.get(name)?.definition.type !== "topic") return;
    const compiled = topics.get(name);
    if (compiled === undefined || this.#ownOf(compiled).allows(operation, routingKey)) return;
    throw amqpError(
      403,
      `access to topic '${routingKey}' in exchange '${name}' in vhost '${this.vhost}' refused for user '${this.user}'`,
    );
  }

  /** Checks a permission. @throws {AmqpError} 403: the user does not have it */
  check(operation: Operation, kind: "queue" | "exchange", name: string): void {
    const compiled = this.#permission();
    if (compiled !== this.#compiled) {
      this.#compiled = compiled;
      this.#allowed.clear();
    }
    // The permission for the default exchange uses this name.
    const checked = kind === "exchange" && name === "" ? "amq.default" : name;
    const question = `${operation} ${checked}`;
    if (this.#allowed.has(question)) return;
    if (compiled === undefined || !compiled[operation].test(checked)) {
      throw amqpError(
        403,
        `access to ${resource(kind, checked, this.vhost)} refused for user '${this.user}'`,
      );
    }
    if (this.#allowed.size === MAX_ANSWERS) this.#allowed.clear();
    this.#allowed.add(question);
  }

  #ownOf(compiled: CompiledTopicPermission): CompiledTopicPermission {
    if (this.#clientId === undefined) return compiled;
    let own = this.#own.get(compiled);
    if (own === undefined) {
      own = compiled.forClient(this.#clientId);
      this.#own.set(compiled, own);
    }
    return own;
  }
}
