/** Policies of RabbitMQ (https://www.rabbitmq.com/parameters.html#policies): their form and the keys that they can set. */
import type { Json } from "../definitions/table.ts";
import type { JsonObject } from "../definitions/json_object.ts";
import { compilePattern } from "../../../regex/pattern.ts";

/** The settings of a policy, by key. */
export type PolicyDefinition = { readonly [key: string]: Json };

/** A policy: settings for all queues and exchanges of a virtual host whose name matches a pattern. */
export interface Policy {
  readonly vhost: string;
  readonly name: string;
  readonly pattern: string;
  readonly applyTo: string;
  /** The matching policy with the highest priority applies. */
  readonly priority: number;
  readonly definition: PolicyDefinition;
}

/** What a policy can apply to. RabbitMQ 3.10 has the first three only. */
const APPLY_TO = ["all", "queues", "exchanges", "classic_queues", "quorum_queues", "streams"];

interface Key {
  /** Whether operator policies can set it. */
  readonly operator?: true;
  /** The queue types for which a policy with this key does not apply at all. */
  readonly not?: readonly ("classic" | "quorum")[];
  /** Formats the error for an invalid value. Undefined if the value is valid. */
  check(value: Json): string | undefined;
}

/** The keys of policies, with the checks and the error texts of RabbitMQ. */
const KEYS: Readonly<Record<string, Key>> = {
  "alternate-exchange": { check: text("alternate exchange name") },
  "dead-letter-exchange": { check: text("dead letter exchange name") },
  "dead-letter-routing-key": { check: text("dead letter routing key") },
  "dead-letter-strategy": {
    not: ["classic"],
    check: oneOf(["at-most-once", "at-least-once"], "dead letter strategy"),
  },
  "message-ttl": { operator: true, check: integer(0, "message TTL") },
  "expires": { operator: true, check: integer(1, "queue expiry") },
  "max-length": { operator: true, check: integer(0, "maximum length") },
  "max-length-bytes": { operator: true, check: integer(0, "maximum length in bytes") },
  "max-in-memory-length": { operator: true, check: integer(0, "maximum memory in bytes") },
  "max-in-memory-bytes": { operator: true, check: integer(0, "maximum memory in bytes") },
  "delivery-limit": { operator: true, not: ["classic"], check: integer(0, "delivery limit") },
  "overflow": { check: oneOf(["drop-head", "reject-publish", "reject-publish-dlx"], "overflow value") },
  "queue-mode": { not: ["quorum"], check: oneOf(["default", "lazy"], "queue-mode value") },
  "queue-version": { check: oneOf([1, 2], "queue-version value") },
  "queue-master-locator": {
    not: ["quorum"],
    check: oneOf(["min-masters", "client-local", "random"], "queue-master-locator value"),
  },
  "queue-leader-locator": {
    not: ["classic"],
    check: oneOf(["client-local", "balanced", "random", "least-leaders"], "queue leader locator value"),
  },
  "initial-cluster-size": { not: ["classic", "quorum"], check: integer(0, "cluster size") },
  "max-age": { not: ["classic", "quorum"], check: text("max age") },
  "stream-max-segment-size-bytes": { not: ["classic", "quorum"], check: integer(0, "segment size") },
  "ha-mode": { not: ["quorum"], check: oneOf(["all", "exactly", "nodes"], "ha-mode value") },
  "ha-params": { not: ["quorum"], check: anything },
  "ha-sync-mode": { not: ["quorum"], check: oneOf(["manual", "automatic"], "ha-sync-mode value") },
  "ha-sync-batch-size": { check: anything },
  "ha-promote-on-shutdown": { not: ["quorum"], check: anything },
  "ha-promote-on-failure": { not: ["quorum"], check: anything },
  "federation-upstream": { check: anything },
  "federation-upstream-set": { check: anything },
  "federation-upstream-pattern": { check: anything },
};

/** Reports a policy or a limit that is invalid. The message has RabbitMQ's form. */
export class PolicyError extends RangeError {
  /** The mistakes, one sentence each. */
  readonly mistakes: readonly string[];

  constructor(mistakes: readonly string[]) {
    super(`Validation failed\n\n${mistakes.join("\n")}\n`);
    this.mistakes = mistakes;
  }
}

/**
 * Reads a policy from JSON.
 *
 * @throws {PolicyError} a member or a value is invalid
 * @throws {JsonError} the definition is not an object
 */
export function readPolicy(object: JsonObject, vhost: string, name: string, operator: boolean): Policy {
  const mistakes: string[] = [];
  const definition = object.object("definition");
  const wrong = wrongDefinition(definition, operator);
  if (wrong !== undefined) mistakes.push(wrong);
  const applyTo = object.value("apply-to") ?? "all";
  if (!APPLY_TO.includes(applyTo as string)) {
    const choices = APPLY_TO.map((one) => `'${one}'`).join(", ");
    mistakes.push(`apply-to '${bare(applyTo)}' unrecognised; should be one of ${choices}`);
  }
  const pattern = object.value("pattern") ?? null;
  if (typeof pattern !== "string") mistakes.push(`pattern should be a binary but was ${show(pattern)}`);
  else {
    try {
      compilePolicyPattern(pattern);
    } catch (error) {
      mistakes.push(`pattern should be regular expression but is invalid: ${(error as Error).message}`);
    }
  }
  const priority = object.value("priority") ?? 0;
  if (typeof priority !== "number") {
    mistakes.push(`priority should be a number, actually was ${show(priority)}`);
  }
  if (mistakes.length > 0) throw new PolicyError(mistakes);
  return {
    vhost,
    name,
    pattern: pattern as string,
    applyTo: applyTo as string,
    priority: priority as number,
    definition,
  };
}

/** Converts a policy to the JSON of RabbitMQ's management. */
export function policyToJson(policy: Policy): { [name: string]: Json } {
  const { vhost, name, pattern, applyTo, priority } = policy;
  const definition = { ...policy.definition };
  return { vhost, name, pattern, "apply-to": applyTo, definition, priority };
}

/** Compiles the pattern of a policy. An empty one matches every name, other than that of a permission. */
export function compilePolicyPattern(
  pattern: string,
  compile = compilePattern,
): ReturnType<typeof compilePattern> {
  return compile(pattern === "" ? ".*" : pattern);
}

/** Whether a policy can apply to objects of a kind. A policy with a key that a queue type does not have does not. */
export function appliesTo({ applyTo, definition }: Policy, kind: "exchange" | "classic" | "quorum"): boolean {
  if (kind === "exchange") return applyTo === "all" || applyTo === "exchanges";
  if (applyTo !== "all" && applyTo !== "queues" && applyTo !== `${kind}_queues`) return false;
  return !Object.keys(definition).some((key) => Object.hasOwn(KEYS, key) && KEYS[key]!.not?.includes(kind));
}

/** Merges a policy with an operator policy: the smaller number of both. The keys are sorted, as in RabbitMQ. */
export function mergeDefinitions(
  policy: PolicyDefinition | undefined,
  operator: PolicyDefinition | undefined,
): PolicyDefinition {
  const merged: { [key: string]: Json } = {};
  for (const key of [...new Set([...Object.keys(policy ?? {}), ...Object.keys(operator ?? {})])].sort()) {
    const own = policy?.[key];
    const limit = operator?.[key];
    merged[key] = typeof own === "number" && typeof limit === "number" ? Math.min(own, limit) : own ?? limit!;
  }
  return merged;
}

function wrongDefinition(definition: PolicyDefinition, operator: boolean): string | undefined {
  const keys = Object.keys(definition);
  if (keys.length === 0) return "no policy provided";
  const isKnown = (key: string) => Object.hasOwn(KEYS, key) && (!operator || KEYS[key]!.operator === true);
  for (const key of keys.filter(isKnown)) {
    const wrong = KEYS[key]!.check(definition[key]!);
    if (wrong !== undefined) return wrong;
  }
  const unknown = keys.filter((key) => !isKnown(key));
  if (unknown.length === 0) return undefined;
  const terms = unknown.map((key) => `{<<"${key}">>,${show(definition[key]!)}}`);
  return `[${terms.join(",")}] are not recognised policy settings`;
}

function integer(least: number, what: string): Key["check"] {
  return (value) =>
    Number.isSafeInteger(value) && value as number >= least ? undefined : invalid(value, what);
}

function text(what: string): Key["check"] {
  return (value) => typeof value === "string" ? undefined : invalid(value, what);
}

function oneOf(values: readonly Json[], what: string): Key["check"] {
  return (value) => values.includes(value) ? undefined : invalid(value, what);
}

function anything(): undefined {}

function invalid(value: Json, what: string): string {
  return `${show(value)} is not a valid ${what}`;
}

/** Formats a value as RabbitMQ's error texts do: as an Erlang term. */
export function show(value: Json): string {
  if (typeof value === "string") return `<<"${value}">>`;
  return value === null ? "undefined" : JSON.stringify(value);
}

function bare(value: Json): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
