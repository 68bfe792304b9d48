import { amqpError } from "../../../amqp/amqp_error.ts";
import { resource } from "../arguments.ts";
import type { Permission } from "../topology/definition_change.ts";

/** The kind of access that an operation needs (https://www.rabbitmq.com/access-control.html#authorisation). */
export type Operation = keyof Permission;

/** The maximum length of a pattern. */
const MAX_PATTERN = 1024;
/** The maximum number of repetitions in one alternative: the cost grows with the name's length to this power. */
const MAX_REPEATS = 4;
/** The number of results that one connection caches. */
const MAX_ANSWERS = 256;

/** A user's permission in one virtual host, with compiled patterns. */
export interface CompiledPermission {
  readonly source: Permission;
  readonly configure: RegExp;
  readonly write: RegExp;
  readonly read: RegExp;
}

/** Compiles the patterns of a permission. @throws {SyntaxError} a pattern is invalid or too costly */
export function compilePermission(source: Permission): CompiledPermission {
  return {
    source,
    configure: compilePattern(source.configure),
    write: compilePattern(source.write),
    read: compilePattern(source.read),
  };
}

/**
 * Compiles a pattern. It can match anywhere in a name, as in RabbitMQ. An empty pattern means `^$`.
 *
 * @throws {SyntaxError} the pattern is invalid or too long, or has nested repetitions, which could take too long
 */
export function compilePattern(pattern: string): RegExp {
  const mistake = (what: string, cause?: unknown) =>
    new SyntaxError(`Cannot use the pattern '${pattern.slice(0, 100)}': ${what}`, { cause });
  if (pattern === "") return /^$/;
  if (pattern.length > MAX_PATTERN) throw mistake(`it has more than ${MAX_PATTERN} characters`);
  let compiled: RegExp;
  try {
    // With the flag `u`, an escape that only PCRE (RabbitMQ) knows is an error instead of a literal.
    compiled = new RegExp(withoutNeedlessEscapes(pattern), "u");
  } catch (error) {
    throw mistake(`it is not a regular expression (${(error as Error).message})`, error);
  }
  const costly = costOf(pattern);
  if (costly !== undefined) throw mistake(`${costly}, so a match could take too long`);
  return compiled;
}

/** Removes the backslash from punctuation that needs no escape, which PCRE allows. */
function withoutNeedlessEscapes(pattern: string): string {
  return pattern.replace(/\\([\s\S])|\[(?:\\[\s\S]|[^\]\\])*\]/g, (all, escaped?: string) => {
    return escaped !== undefined && /[^\w\s^$\\.*+?()[\]{}|/]/.test(escaped) ? escaped : all;
  });
}

/** Returns why a pattern could take too long: repeated groups or consecutive repetitions. Undefined if it cannot. */
function costOf(pattern: string): string | undefined {
  const plain = pattern.replace(/\\[\s\S]|\[(?:\\[\s\S]|[^\]\\])*\]/g, "x").replace(/\(\?[:=!<]*/g, "(");
  /**
   * For each open group: repetitions in the current alternative, the maximum of the others, whether there are others.
   */
  const open = [{ repeats: 0, most: 0, chooses: false }];
  for (let i = 0; i < plain.length; i++) {
    const group = open.at(-1)!;
    const quantifier = /^(?:[*+]|\{\d*,?\d*\})/.exec(plain.slice(i))?.[0];
    if (plain[i] === "(") open.push({ repeats: 0, most: 0, chooses: false });
    else if (plain[i] === ")" && open.length > 1) {
      open.pop();
      const inner = Math.max(group.most, group.repeats);
      const isRepeated = /^(?:[*+]|\{\d)/.test(plain.slice(i + 1));
      if (isRepeated && (inner > 0 || group.chooses)) {
        return "it repeats a group that repeats or has alternatives";
      }
      const outer = open.at(-1)!;
      outer.repeats += inner;
      outer.chooses ||= group.chooses;
    } else if (plain[i] === "|") {
      group.most = Math.max(group.most, group.repeats);
      group.repeats = 0;
      group.chooses = true;
    } else if (quantifier !== undefined) {
      if (!/^\{\d+\}$/.test(quantifier)) group.repeats++;
      i += quantifier.length - 1;
    }
  }
  const most = Math.max(open[0]!.most, open[0]!.repeats);
  return most > MAX_REPEATS
    ? `it has ${most} consecutive repetitions (the maximum is ${MAX_REPEATS})`
    : undefined;
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
