import { hashPassword, isPassword, isPasswordHash } from "./password.ts";
import { Access, type CompiledPermission, compilePermission } from "./permissions.ts";
import type { DefinitionChange, Permission, StoredUser } from "../topology/definition_change.ts";

export { Access } from "./permissions.ts";

/** What RabbitMQ's management knows; the others are kept, and mean nothing here. */
export type Tag = "administrator" | "monitoring" | "policymaker" | "management";

/** A permission with whom and what it is for. */
export interface UserPermission extends Permission {
  readonly user: string;
  readonly vhost: string;
}

/** The user that there is at first, who may come from this machine only (https://www.rabbitmq.com/access-control.html). */
export const GUEST = "guest";

/** The users of a broker and what they may do, in each virtual host. */
export class UserStore {
  readonly #users = new Map<string, StoredUser>();
  /** By user, then by virtual host. */
  readonly #permissions = new Map<string, Map<string, CompiledPermission>>();
  readonly #onChange: (change: DefinitionChange) => void;

  /** @param onChange told of everything that is to survive a restart, in order */
  constructor(onChange: (change: DefinitionChange) => void = () => {}) {
    this.#onChange = onChange;
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
   * Checks a login.
   *
   * @param isLocal whether it comes from this machine
   * @returns why it is refused, which is not for the client; undefined when it is not
   */
  authenticate(name: string, password: Uint8Array, isLocal: boolean): string | undefined {
    const user = this.#users.get(name);
    const right = isPassword(password, user);
    if (user === undefined) return `there is no user '${name}'`;
    if (!right) return `wrong password for user '${name}'`;
    if (name === GUEST && !isLocal) return `user '${name}' can only connect from this machine`;
    return undefined;
  }

  /** What a user may do in a virtual host; undefined when that is nothing. */
  accessTo(name: string, vhost: string): Access | undefined {
    const permission = () => this.#permissions.get(name)?.get(vhost);
    return permission() === undefined ? undefined : new Access(name, vhost, permission);
  }

  /** Adds a user, or changes one; nothing happens when that changes nothing. */
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
   * Adds or changes a user whose password was hashed elsewhere.
   *
   * @throws {RangeError} the name is empty, or the hash is none
   */
  putHashed(user: StoredUser): void {
    if (user.name === "") throw new RangeError("Cannot add a user without a name");
    if (!isPasswordHash(user.passwordHash, user.hashing)) {
      throw new RangeError(
        `Cannot add user '${user.name}' as the hash of the password is no ${user.hashing} with a salt`,
      );
    }
    this.#users.set(user.name, user);
    this.#onChange({ type: "user-put", user });
  }

  /** Whether there was such a user. */
  remove(name: string): boolean {
    if (!this.#users.delete(name)) return false;
    this.#permissions.delete(name);
    this.#onChange({ type: "user-removed", name });
    return true;
  }

  /**
   * Sets what a user may do in a virtual host.
   *
   * @throws {SyntaxError} a pattern is none
   * @throws {RangeError} there is no such user
   */
  permit(user: string, vhost: string, permission: Permission): void {
    if (!this.#users.has(user)) throw new RangeError(`Cannot set permissions as there is no user '${user}'`);
    const { configure, write, read } = permission;
    const known = this.#permissions.get(user)?.get(vhost)?.source;
    if (known?.configure === configure && known.write === write && known.read === read) return;
    this.#setPermission(user, vhost, { configure, write, read });
    this.#onChange({ type: "permission-put", user, vhost, permission: { configure, write, read } });
  }

  /** Whether there was such a permission. */
  forbid(user: string, vhost: string): boolean {
    if (this.#permissions.get(user)?.delete(vhost) !== true) return false;
    this.#onChange({ type: "permission-removed", user, vhost });
    return true;
  }

  /** A virtual host was removed, and the permissions in it with it; that is told by the one change. */
  forgetVhost(vhost: string): void {
    for (const permissions of this.#permissions.values()) permissions.delete(vhost);
  }

  *permissions(): IterableIterator<UserPermission> {
    for (const [user, permissions] of this.#permissions) {
      for (const [vhost, { source }] of permissions) yield { user, vhost, ...source };
    }
  }

  /** What makes it anew, in an order that `apply` can follow. */
  *changes(): IterableIterator<DefinitionChange> {
    for (const user of this.#users.values()) yield { type: "user-put", user };
    for (const { user, vhost, configure, write, read } of this.permissions()) {
      yield { type: "permission-put", user, vhost, permission: { configure, write, read } };
    }
  }

  /** Does again what `onChange` told, and tells nobody. */
  apply(change: DefinitionChange): void {
    switch (change.type) {
      case "user-put":
        this.#users.set(change.user.name, change.user);
        return;
      case "user-removed":
        this.#users.delete(change.name);
        this.#permissions.delete(change.name);
        return;
      case "permission-put":
        return this.#setPermission(change.user, change.vhost, change.permission);
      case "permission-removed":
        this.#permissions.get(change.user)?.delete(change.vhost);
        return;
    }
  }

  #setPermission(user: string, vhost: string, permission: Permission): void {
    const compiled = compilePermission(permission);
    const known = this.#permissions.get(user);
    if (known === undefined) this.#permissions.set(user, new Map([[vhost, compiled]]));
    else known.set(vhost, compiled);
  }
}
