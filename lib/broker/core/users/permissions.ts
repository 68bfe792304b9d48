import { amqpError } from "../../../amqp/amqp_error.ts";
import { resource } from "../arguments.ts";
import type { Permission } from "../topology/definition_change.ts";

/** What an operation needs (https://www.rabbitmq.com/access-control.html#authorisation). */
export type Operation = keyof Permission;

/** The longest pattern. */
const MAX_PATTERN = 1024;
/** Repetitions in one alternative: each may try all lengths for each length of those before it. */
const MAX_REPEATS = 4;
/** How many answers one connection remembers. */
const MAX_ANSWERS = 256;

/** A user's permission in one virtual host, its patterns compiled. */
export interface CompiledPermission {
  readonly source: Permission;
  readonly configure: RegExp;
  readonly write: RegExp;
  readonly read: RegExp;
}

/** @throws {SyntaxError} a pattern is none, or could take for ever */
export function compilePermission(source: Permission): CompiledPermission {
  return {
    source,
    configure: compilePattern(source.configure),
    write: compilePattern(source.write),
    read: compilePattern(source.read),
  };
}

/**
 * Compiles a pattern. It may match anywhere in a name, as in RabbitMQ; an empty one stands for `^$`.
 *
 * @throws {SyntaxError} it is none, it is too long, or it repeats what repeats, which could take for ever
 */
export function compilePattern(pattern: string): RegExp {
  const mistake = (what: string, cause?: unknown) =>
    new SyntaxError(`Cannot use the pattern '${pattern.slice(0, 100)}': ${what}`, { cause });
  if (pattern === "") return /^$/;
  if (pattern.length > MAX_PATTERN) throw mistake(`it has over ${MAX_PATTERN} characters`);
  let compiled: RegExp;
  try {
    // With `u` an escape that means something to RabbitMQ's PCRE only is an error, and no other match.
    compiled = new RegExp(withoutNeedlessEscapes(pattern), "u");
  } catch (error) {
    throw mistake(`it is no regular expression (${(error as Error).message})`, error);
  }
  const costly = costOf(pattern);
  if (costly !== undefined) throw mistake(`${costly}, which could take for ever`);
  return compiled;
}

/** PCRE lets any punctuation be escaped. */
function withoutNeedlessEscapes(pattern: string): string {
  return pattern.replace(/\\([\s\S])|\[(?:\\[\s\S]|[^\]\\])*\]/g, (all, escaped?: string) => {
    return escaped !== undefined && /[^\w\s^$\\.*+?()[\]{}|/]/.test(escaped) ? escaped : all;
  });
}

/** Why a pattern could take longer than its names are worth: groups that are repeated, repetitions in a row. */
function costOf(pattern: string): string | undefined {
  const plain = pattern.replace(/\\[\s\S]|\[(?:\\[\s\S]|[^\]\\])*\]/g, "x").replace(/\(\?[:=!<]*/g, "(");
  /** Of each open group: the repetitions in this alternative, the most in one before it, whether there is another. */
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
    ? `it has ${most} repetitions in a row, and ${MAX_REPEATS} are allowed`
    : undefined;
}

/** What one connection's user may do in its virtual host; it remembers what it was asked. */
export class Access {
  readonly user: string;
  readonly vhost: string;
  readonly #permission: () => CompiledPermission | undefined;
  #compiled: CompiledPermission | undefined;
  readonly #allowed = new Set<string>();

  /** @param permission the current one; undefined when there is none any more */
  constructor(user: string, vhost: string, permission: () => CompiledPermission | undefined) {
    this.user = user;
    this.vhost = vhost;
    this.#permission = permission;
  }

  /** @throws {AmqpError} 403: the user may not do that */
  check(operation: Operation, kind: "queue" | "exchange", name: string): void {
    const compiled = this.#permission();
    if (compiled !== this.#compiled) {
      this.#compiled = compiled;
      this.#allowed.clear();
    }
    // The default exchange is checked under this name.
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
