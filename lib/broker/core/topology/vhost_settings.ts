import { amqpError } from "../../../amqp/amqp_error.ts";
import { limitOf, type Limits } from "../policies/limits.ts";
import type { Policy } from "../policies/policy.ts";
import { checkPatternTime, type PolicySet } from "../policies/policy_set.ts";
import type { DefinitionChange } from "./definition_change.ts";
import type { Topology } from "./topology.ts";

/** The types that a virtual host can have as its default. */
export const QUEUE_TYPES: readonly string[] = ["classic", "quorum"];

/** The settings of a virtual host: its policies, its limits and its default queue type. */
export class VirtualHostSettings {
  limits: Limits = {};
  defaultQueueType: string | undefined;
  readonly #vhost: string;
  readonly #topology: Topology;
  readonly #onChange: (change: DefinitionChange) => void;

  /** @param onChange called with each change that must survive a restart */
  constructor(vhost: string, topology: Topology, onChange: (change: DefinitionChange) => void) {
    this.#vhost = vhost;
    this.#topology = topology;
    this.#onChange = onChange;
  }

  get policies(): PolicySet {
    return this.#topology.policies;
  }

  setLimits(limits: Limits): void {
    this.limits = limits;
    this.#onChange({ type: "vhost-limits-put", vhost: this.#vhost, limits });
  }

  /** @throws {RangeError} the type is unknown */
  setDefaultQueueType(queueType: string): void {
    if (!QUEUE_TYPES.includes(queueType)) {
      throw new RangeError(`the default queue type must be 'classic' or 'quorum': received '${queueType}'`);
    }
    if (queueType === this.defaultQueueType) return;
    this.defaultQueueType = queueType;
    this.#onChange({ type: "default-queue-type-put", vhost: this.#vhost, queueType });
  }

  /** Adds or replaces a policy. @throws {SyntaxError} the pattern takes too long for the names */
  putPolicy(operator: boolean, policy: Policy): void {
    checkPatternTime(policy, this.#topology.queues.keys());
    this.policies.put(operator, policy);
    this.#onChange({ type: "policy-put", operator, policy });
    this.#topology.applyPolicies();
  }

  /** Removes a policy. @returns whether it existed */
  removePolicy(operator: boolean, name: string): boolean {
    if (!this.policies.remove(operator, name)) return false;
    this.#onChange({ type: "policy-removed", operator, vhost: this.#vhost, name });
    this.#topology.applyPolicies();
    return true;
  }

  /** Checks that another queue can be declared. @throws {AmqpError} 406: the queue limit is reached */
  checkQueueLimit(name: string): void {
    if (this.#topology.queues.size < limitOf(this.limits, "max-queues")) return;
    const limit = this.limits["max-queues"];
    throw amqpError(
      406,
      `cannot declare queue '${name}': queue limit in vhost '${this.#vhost}' (${limit}) is reached`,
    );
  }

  /** Returns the changes that recreate the settings with `apply`. */
  *changes(): IterableIterator<DefinitionChange> {
    const { limits, defaultQueueType: queueType } = this;
    const vhost = this.#vhost;
    if (Object.keys(limits).length > 0) yield { type: "vhost-limits-put", vhost, limits };
    if (queueType !== undefined) yield { type: "default-queue-type-put", vhost, queueType };
    for (const operator of [false, true]) {
      for (const policy of this.policies.list(operator)) yield { type: "policy-put", operator, policy };
    }
  }

  /** Applies a change of the settings that was reported earlier. @returns whether it is a change of the settings */
  apply(change: DefinitionChange): boolean {
    switch (change.type) {
      case "vhost-limits-put":
        this.limits = change.limits;
        return true;
      case "default-queue-type-put":
        this.defaultQueueType = change.queueType;
        return true;
      case "policy-put":
        this.policies.put(change.operator, change.policy);
        this.#topology.applyPolicies();
        return true;
      case "policy-removed":
        this.policies.remove(change.operator, change.name);
        this.#topology.applyPolicies();
        return true;
      default:
        return false;
    }
  }
}
