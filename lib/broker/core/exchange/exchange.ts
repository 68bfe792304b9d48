import type { FieldTable } from "../../../amqp/types/field_value.ts";
import { type BindingDefinition, type ExchangeDefinition, tableKey } from "../topology/definition_change.ts";
import type { Matcher, Route } from "./contract.ts";
import { RouteCache } from "./route_cache.ts";

/** What an exchange needs of a queue. */
export interface Named {
  readonly definition: { readonly name: string; readonly durable: boolean };
}

/** Where a binding leads. */
export type Destination<Q extends Named> = Q | Exchange<Q>;

/** A binding of an exchange. */
export interface Binding<Q extends Named> extends Route<Destination<Q>> {
  readonly source: Exchange<Q>;
  /** Of all bindings of the source. */
  readonly key: string;
}

/** An exchange: its bindings, and the type that chooses among them. */
export class Exchange<Q extends Named> {
  readonly definition: ExchangeDefinition;
  readonly matcher: Matcher<Destination<Q>>;
  /** Where messages go that no binding takes; a name, which may be of no exchange. */
  readonly alternate: string | undefined;
  /** What was routed before. */
  readonly routes: RouteCache<Q> = new RouteCache();
  /** Where messages wait, in an exchange that delays them. */
  readonly delayQueue: Q | undefined;
  /** The number of the message that passed it last: none passes it twice. */
  passed = 0;
  readonly #bindings = new Map<string, Binding<Q>>();

  constructor(definition: ExchangeDefinition, matcher: Matcher<Destination<Q>>, delayQueue?: Q) {
    this.definition = definition;
    this.delayQueue = delayQueue;
    this.matcher = matcher;
    const alternate = definition.arguments["alternate-exchange"];
    this.alternate = typeof alternate === "string" ? alternate : undefined;
  }

  get name(): string {
    return this.definition.name;
  }

  get bindings(): Iterable<Binding<Q>> & { readonly size: number } {
    return { size: this.#bindings.size, [Symbol.iterator]: () => this.#bindings.values() };
  }

  /** The new binding; undefined when there is the same one. */
  bind(destination: Destination<Q>, routingKey: string, args: FieldTable): Binding<Q> | undefined {
    const key = keyOf(destination, routingKey, args);
    if (this.#bindings.has(key)) return undefined;
    const binding = { source: this, key, destination, routingKey, arguments: args };
    this.#bindings.set(key, binding);
    this.matcher.add(binding);
    return binding;
  }

  find(destination: Destination<Q>, routingKey: string, args: FieldTable): Binding<Q> | undefined {
    return this.#bindings.get(keyOf(destination, routingKey, args));
  }

  unbind(binding: Binding<Q>): void {
    if (this.#bindings.delete(binding.key)) this.matcher.remove(binding);
  }
}

/** A binding as it was declared. */
export function definitionOf<Q extends Named>(binding: Binding<Q>): BindingDefinition {
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

function keyOf<Q extends Named>(destination: Destination<Q>, routingKey: string, args: FieldTable): string {
  const kind = destination instanceof Exchange ? "exchange" : "queue";
  return JSON.stringify([kind, destination.definition.name, routingKey, tableKey(args)]);
}
