import { hashPassword, isPassword, isPasswordHash } from "./password.ts";
import { compileStoredPattern } from "../../../regex/pattern.ts";
import {
  Access,
  type CompiledPermission,
  CompiledTopicPermission,
  compilePermission,
} from "./permissions.ts";
import type {
  DefinitionChange,
  Permission,
  StoredUser,
  TopicPermission,
} from "../topology/definition_change.ts";

export { Access } from "./permissions.ts";

/** The tags that RabbitMQ's management uses. Other tags are kept but have no effect. */
export type Tag = "administrator" | "monitoring" | "policymaker" | "management";

/** A permission with its user and virtual host. */
export interface UserPermission extends Permission {
  readonly user: string;
  readonly vhost: string;
}

/** A topic permission with its user, virtual host and exchange. */
export interface UserTopicPermission extends TopicPermission {
  readonly user: string;
  readonly vhost: string;
  readonly exchange: string;
}

/** The initial user, who can only connect from this machine (https://www.rabbitmq.com/access-control.html). */
export const GUEST = "guest";

/** The users of a broker and their permissions in each virtual host. */
export class UserStore {
  /** Increases with each change of users or permissions: cached results of earlier checks are void. */
  revision = 0;
  readonly #users = new Map<string, StoredUser>();
  /** The permissions by user and virtual host. */
  readonly #permissions = new Map<string, Map<string, CompiledPermission>>();
  /** The topic permissions by user and virtual host (with a NUL between them), and by exchange. */
  readonly #topics = new Map<string, Map<string, CompiledTopicPermission>>();
  readonly #onChange: (change: DefinitionChange) => void;

  /** @param onChange called with each change that must survive a restart, in order */
  constructor(onChange: (change: DefinitionChange) => void = () => {}) {
    this.#onChange = (change) => {
      this.revision++;
      onChange(change);
    };
  }

  has(name: string): boolean {
    return this.#users.has(name);
  }

  get size(): number {
    return this.#users.size;
  }

  get(name: string): StoredUser | undefined {
    return this.#users.get(name);
  }

  [Symbol.iterator](): IterableIterator<StoredUser> {
    return this.#users.values();
  }

  /**
   * Checks the credentials of a login.
   *
   * @param isLocal whether the client is on this machine
   * @returns the reason of a refusal, which must not be sent to the client; undefined if the login is accepted
   */
  authenticate(name: string, password: Uint8Array, isLocal: boolean): string | undefined {
    const user = this.#users.get(name);
    const right = isPassword(password, user);
    if (user === undefined) return `there is no user '${name}'`;
    if (!right) return `wrong password for user '${name}'`;
    return this.#refuseRemoteGuest(name, isLocal);
  }

  /**
   * Checks a login by a verified client certificate. The user needs no password.
   *
   * @param name the user name of the certificate
   * @param isLocal whether the client is on this machine
   * @returns the reason of a refusal, which must not be sent to the client; undefined if the login is accepted
   */
  authenticateCertificate(name: string, isLocal: boolean): string | undefined {
    if (!this.#users.has(name)) return `there is no user '${name}'`;
    return this.#refuseRemoteGuest(name, isLocal);
  }

  /**
   * Returns the permissions of a user in a virtual host; undefined if there are none.
   *
   * @param clientId the identifier of an MQTT client, as it is in routing keys
   */
  accessTo(name: string, vhost: string, clientId?: string): Access | undefined {
    const permission = () => this.#permissions.get(name)?.get(vhost);
    const key = topicKey(name, vhost);
    const topics = () => this.#topics.size === 0 ? undefined : this.#topics.get(key);
    return permission() === undefined
      ? undefined
      : new Access(name, vhost, permission, topics, this, clientId);
  }

  /** Adds or changes a user. Reports a change only if there is one. */
  put(name: string, password: string, tags: readonly string[] = []): void {
    const known = this.#users.get(name);
    const same = known !== undefined && known.tags.join() === tags.join() &&
      isPassword(new TextEncoder().encode(password), known);
    if (!same) {
      const passwordHash = password === "" ? "" : hashPassword(password);
      this.putHashed({ name, passwordHash, hashing: "sha256", tags });
    }
  }

  /**
   * Adds or changes a user with a hashed password. Limits that are not given stay unchanged.
   *
   * @throws {RangeError} the name is empty, or the hash is invalid
   */
  putHashed(user: StoredUser): void {
    if (user.name === "") throw new RangeError("Cannot add a user as the name is empty");
    if (!isPasswordHash(user.passwordHash, user.hashing)) {
      throw new RangeError(
        `Cannot add user '${user.name}' as the password hash is not a ${user.hashing} hash with a salt of 4 bytes`,
      );
    }
    const limits = user.limits ?? this.#users.get(user.name)?.limits;
    const changed = limits === undefined ? user : { ...user, limits };
    this.#users.set(user.name, changed);
    this.#onChange({ type: "user-put", user: changed });
  }

  /** Removes a user. @returns whether the user existed */
  remove(name: string): boolean {
    if (!this.#users.delete(name)) return false;
    this.#forget(name);
    this.#onChange({ type: "user-removed", name });
    return true;
  }

  /**
   * Sets the permissions of a user in a virtual host.
   *
   * @throws {SyntaxError} a pattern is invalid
   * @throws {RangeError} the user does not exist
   */
  permit(user: string, vhost: string, permission: Permission): void {
    if (!this.#users.has(user)) {
      throw new RangeError(`Cannot set permissions as user '${user}' does not exist`);
    }
    const { configure, write, read } = permission;
    const known = this.#permissions.get(user)?.get(vhost)?.source;
    if (known?.configure === configure && known.write === write && known.read === read) return;
    this.#setPermission(user, vhost, compilePermission({ configure, write, read }));
    this.#onChange({ type: "permission-put", user, vhost, permission: { configure, write, read } });
  }

  /** Removes the permissions of a user in a virtual host. @returns whether there were any */
  forbid(user: string, vhost: string): boolean {
    if (this.#permissions.get(user)?.delete(vhost) !== true) return false;
    this.#onChange({ type: "permission-removed", user, vhost });
    return true;
  }

  /**
   * Removes the permissions in a removed virtual host. The change `vhost-removed` implies this, so none is reported.
   */
  forgetVhost(vhost: string): void {
    this.revision++;
    for (const permissions of this.#permissions.values()) permissions.delete(vhost);
    for (const key of [...this.#topics.keys()]) {
      if (key.endsWith(topicKey("", vhost))) this.#topics.delete(key);
    }
  }

  /**
   * Restricts the routing keys of a user in a topic exchange, which need not exist.
   *
   * @throws {SyntaxError} a pattern is invalid
   * @throws {RangeError} the user does not exist
   */
  permitTopics(user: string, vhost: string, exchange: string, { write, read }: TopicPermission): void {
    if (!this.#users.has(user)) {
      throw new RangeError(`Cannot set topic permissions as user '${user}' does not exist`);
    }
    const permission = { write, read };
    this.#setTopics(exchange, user, vhost, new CompiledTopicPermission(permission, user, vhost));
    this.#onChange({ type: "topic-permission-put", user, vhost, exchange, permission });
  }

  /** Removes the topic permission of a user for an exchange. @returns whether there was one */
  forbidTopics(user: string, vhost: string, exchange: string): boolean {
    if (!this.#removeTopics(user, vhost, exchange)) return false;
    this.#onChange({ type: "topic-permission-removed", user, vhost, exchange });
    return true;
  }

  *topicPermissions(): IterableIterator<UserTopicPermission> {
    for (const [key, topics] of this.#topics) {
      const [user, vhost] = key.split("\0") as [string, string];
      for (const [exchange, { source: { write, read } }] of topics) {
        yield { user, vhost, exchange, write, read };
      }
    }
  }

  *permissions(): IterableIterator<UserPermission> {
    for (const [user, permissions] of this.#permissions) {
      for (const [vhost, { source }] of permissions) yield { user, vhost, ...source };
    }
  }

  /** Returns the changes that recreate the current state with `apply`. */
  *changes(): IterableIterator<DefinitionChange> {
    for (const user of this.#users.values()) yield { type: "user-put", user };
    for (const { user, vhost, configure, write, read } of this.permissions()) {
      yield { type: "permission-put", user, vhost, permission: { configure, write, read } };
    }
    for (const { user, vhost, exchange, write, read } of this.topicPermissions()) {
      yield { type: "topic-permission-put", user, vhost, exchange, permission: { write, read } };
    }
  }

  /** Applies a change that `onChange` reported earlier. It is not reported again. */
  apply(change: DefinitionChange): void {
    this.revision++;
    switch (change.type) {
      case "user-put":
        this.#users.set(change.user.name, change.user);
        return;
      case "user-removed":
        this.#users.delete(change.name);
        this.#forget(change.name);
        return;
      case "permission-put":
        return this.#setPermission(
          change.user,
          change.vhost,
          // An earlier version accepted patterns that this one does not: they must not stop the start.
          compilePermission(change.permission, compileStoredPattern),
        );
      case "permission-removed":
        this.#permissions.get(change.user)?.delete(change.vhost);
        return;
      case "topic-permission-put": {
        const { user, vhost, exchange, permission } = change;
        const compiled = new CompiledTopicPermission(permission, user, vhost, compileStoredPattern);
        return this.#setTopics(exchange, user, vhost, compiled);
      }
      case "topic-permission-removed":
        this.#removeTopics(change.user, change.vhost, change.exchange);
        return;
    }
  }

  #refuseRemoteGuest(name: string, isLocal: boolean): string | undefined {
    return name === GUEST && !isLocal ? `user '${name}' can only connect from this machine` : undefined;
  }

  #setTopics(exchange: string, user: string, vhost: string, compiled: CompiledTopicPermission): void {
    const key = topicKey(user, vhost);
    const known = this.#topics.get(key);
    if (known === undefined) this.#topics.set(key, new Map([[exchange, compiled]]));
    else known.set(exchange, compiled);
  }

  #removeTopics(user: string, vhost: string, exchange: string): boolean {
    const key = topicKey(user, vhost);
    const known = this.#topics.get(key);
    if (known?.delete(exchange) !== true) return false;
    if (known.size === 0) this.#topics.delete(key);
    return true;
  }

  /** Removes all permissions of a removed user. */
  #forget(user: string): void {
    this.#permissions.delete(user);
    for (const key of [...this.#topics.keys()]) {
      if (key.startsWith(topicKey(user, ""))) this.#topics.delete(key);
    }
  }

  #setPermission(user: string, vhost: string, compiled: CompiledPermission): void {
    const known = this.#permissions.get(user);
    if (known === undefined) this.#permissions.set(user, new Map([[vhost, compiled]]));
    else known.set(vhost, compiled);
  }
}

/** Returns the key of a user in a virtual host. Names have no NUL. */
function topicKey(user: string, vhost: string): string {
  return `${user}\0${vhost}`;
}
