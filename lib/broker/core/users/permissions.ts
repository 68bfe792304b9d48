import { amqpError } from "../../../amqp/amqp_error.ts";
import { resource } from "../arguments.ts";
import { compilePattern, type Pattern } from "../patterns.ts";
import type { Permission } from "../topology/definition_change.ts";

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

/** The permissions of a connection's user in its virtual host. It caches the results of checks. */
export class Access {
  readonly user: string;
  readonly vhost: string;
  readonly #permission: () => CompiledPermission | undefined;
  #compiled: CompiledPermission | undefined;
  readonly #allowed = new Set<string>();

  /** @param permission returns the current permission; undefined if the user has none */
  constructor(user: string, vhost: string, permission: () => CompiledPermission | undefined) {
    this.user = user;
    this.vhost = vhost;
    this.#permission = permission;
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
}
