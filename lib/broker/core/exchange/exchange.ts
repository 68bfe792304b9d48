import type { FieldTable } from "../../../amqp/types/field_value.ts";
import { type BindingDefinition, type ExchangeDefinition, tableKey } from "../topology/definition_change.ts";
import { ExchangeStats } from "../message_stats.ts";
import type { AppliedPolicies } from "../policies/policy_set.ts";
import type { Queue } from "../queue/queue.ts";
import type { Matcher, Route } from "./contract.ts";
import { RouteCache } from "./route_cache.ts";

/** The destination of a binding: a queue or an exchange. */
export type Destination = Queue | Exchange;

/** A binding of an exchange. */
export interface Binding extends Route<Destination> {
  readonly source: Exchange;
  /** Identifies the binding among all bindings of the source. */
  readonly key: string;
}

/** An exchange: its bindings, and the matcher of its type. */
export class Exchange {
  readonly definition: ExchangeDefinition;
  readonly matcher: Matcher<Destination>;
  /** The name of the alternate exchange, which gets the messages that no binding matches. It may not exist. */
  alternate: string | undefined;
  /** The policies that apply; undefined if there are none. */
  policies: AppliedPolicies | undefined;
  /** The results of earlier messages. */
  readonly routes: RouteCache = new RouteCache();
  /** The queue for delayed messages, in an exchange of type `x-delayed-message`. */
  readonly delayQueue: Queue | undefined;
  /** The number of the last message that was routed through this exchange, so that no message passes it twice. */
  passed = 0;
  readonly stats: ExchangeStats = new ExchangeStats();
  /** Whether it has a binding; a field, as the trace exchange is asked for each message. */
  isBound = false;
  /** The number of bindings to each exchange; a queue is not listed. */
  readonly #exits = new Map<Exchange, number>();
  readonly #bindings = new Map<string, Binding>();

  constructor(definition: ExchangeDefinition, matcher: Matcher<Destination>, delayQueue?: Queue) {
    this.definition = definition;
    this.delayQueue = delayQueue;
    this.matcher = matcher;
    this.setPolicies(undefined);
  }

  /** Changes the policies. Cached routes are not valid after it. */
  setPolicies(policies: AppliedPolicies | undefined): void {
    this.policies = policies;
    const alternate = this.definition.arguments["alternate-exchange"] ??
      policies?.definition["alternate-exchange"];
    this.alternate = typeof alternate === "string" ? alternate : undefined;
  }

  get name(): string {
    return this.definition.name;
  }

  get bindings(): Iterable<Binding> & { readonly size: number } {
    return { size: this.#bindings.size, [Symbol.iterator]: () => this.#bindings.values() };
  }

  /** The exchanges that messages go to from here. */
  get exits(): Iterable<Exchange> {
    return this.#exits.keys();
  }

  /** Adds a binding. @returns the new binding; undefined if it exists */
  bind(destination: Destination, routingKey: string, args: FieldTable): Binding | undefined {
    const key = keyOf(destination, routingKey, args);
    if (this.#bindings.has(key)) return undefined;
    const binding = { source: this, key, destination, routingKey, arguments: args };
    this.#bindings.set(key, binding);
    this.isBound = true;
    if (destination instanceof Exchange) {
      this.#exits.set(destination, (this.#exits.get(destination) ?? 0) + 1);
    }
    this.matcher.add(binding);
    return binding;
  }

  /** Finds a binding. */
  find(destination: Destination, routingKey: string, args: FieldTable): Binding | undefined {
    return this.#bindings.get(keyOf(destination, routingKey, args));
  }

  /** Removes a binding. */
  unbind(binding: Binding): void {
    if (!this.#bindings.delete(binding.key)) return;
    this.isBound = this.#bindings.size > 0;
    this.matcher.remove(binding);
    const { destination } = binding;
    if (!(destination instanceof Exchange)) return;
    const left = this.#exits.get(destination)! - 1;
    if (left > 0) this.#exits.set(destination, left);
    else this.#exits.delete(destination);
  }
}

/** Returns the definition of a binding. */
export function definitionOf(binding: Binding): BindingDefinition {
  const { source, destination, routingKey } = binding;
  return {
    vhost: source.definition.vhost,
    source: source.name,
    destinationType: destination instanceof Exchange ? "exchange" : "queue",
    destination: destination.definition.name,
    routingKey,
    arguments: binding.arguments,
  };
}

function keyOf(destination: Destination, routingKey: string, args: FieldTable): string {
  const kind = destination instanceof Exchange ? "exchange" : "queue";
  return JSON.stringify([kind, destination.definition.name, routingKey, tableKey(args)]);
}
