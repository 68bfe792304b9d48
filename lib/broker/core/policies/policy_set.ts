import { compileStoredPattern, filterByPattern, type Pattern } from "../../../regex/pattern.ts";
import { hasOwnRecords } from "./own_queues.ts";
import {
  appliesTo,
  compilePolicyPattern,
  mergeDefinitions,
  type Policy,
  type PolicyDefinition,
} from "./policy.ts";

/** The policies that apply to a queue or an exchange: at most one of each kind. */
export interface AppliedPolicies {
  readonly policy: Policy | undefined;
  readonly operatorPolicy: Policy | undefined;
  /** The settings of both, merged. */
  readonly definition: PolicyDefinition;
}

interface Compiled {
  readonly policy: Policy;
  readonly pattern: Pattern;
}

/** The policies and the operator policies of a virtual host. */
export class PolicySet {
  readonly #policies = new Map<string, Compiled>();
  readonly #operatorPolicies = new Map<string, Compiled>();

  /** Returns one kind of policies, by name. */
  *list(operator: boolean): IterableIterator<Policy> {
    for (const { policy } of this.#of(operator).values()) yield policy;
  }

  get(operator: boolean, name: string): Policy | undefined {
    return this.#of(operator).get(name)?.policy;
  }

  /** Adds or replaces a policy. A pattern that cannot be compiled matches nothing. */
  put(operator: boolean, policy: Policy): void {
    const pattern = compilePolicyPattern(policy.pattern, compileStoredPattern);
    this.#of(operator).set(policy.name, { policy, pattern });
  }

  /** Removes a policy. @returns whether it existed */
  remove(operator: boolean, name: string): boolean {
    return this.#of(operator).delete(name);
  }

  /** Returns the policies for a queue or an exchange; undefined if there are none. */
  find(kind: "exchange" | "classic" | "quorum", name: string): AppliedPolicies | undefined {
    if (kind !== "exchange" && hasOwnRecords(name)) return undefined;
    const policy = best(this.#policies, kind, name);
    const operatorPolicy = best(this.#operatorPolicies, kind, name);
    if (policy === undefined && operatorPolicy === undefined) return undefined;
    return {
      policy,
      operatorPolicy,
      definition: mergeDefinitions(policy?.definition, operatorPolicy?.definition),
    };
  }

  #of(operator: boolean): Map<string, Compiled> {
    return operator ? this.#operatorPolicies : this.#policies;
  }
}

/** Checks the time of a policy's pattern. @throws {SyntaxError} it takes longer than a second for all names */
export function checkPatternTime(policy: Policy, names: Iterable<string>): void {
  filterByPattern(compilePolicyPattern(policy.pattern), names, (name) => name);
}

/** Returns the matching policy with the highest priority, and of equal ones the first by name. */
function best(
  policies: ReadonlyMap<string, Compiled>,
  kind: "exchange" | "classic" | "quorum",
  name: string,
): Policy | undefined {
  let found: Policy | undefined;
  for (const { policy, pattern } of policies.values()) {
    if (found !== undefined && !isBefore(policy, found)) continue;
    if (appliesTo(policy, kind) && pattern.test(name)) found = policy;
  }
  return found;
}

function isBefore(a: Policy, b: Policy): boolean {
  return a.priority > b.priority || a.priority === b.priority && a.name < b.name;
}
