import type { FieldTable } from "../../../amqp/types/field_value.ts";
import { type BindingDefinition, type ExchangeDefinition, tableKey } from "../topology/definition_change.ts";
import type { Queue } from "../queue/queue.ts";
import type { Matcher, Route } from "./contract.ts";
import { RouteCache } from "./route_cache.ts";

/** Where a binding leads. */
export type Destination = Queue | Exchange;

/** A binding of an exchange. */
export interface Binding extends Route<Destination> {
  readonly source: Exchange;
  /** Of all bindings of the source. */
  readonly key: string;
}

/** An exchange: its bindings, and the type that chooses among them. */
export class Exchange {
  readonly definition: ExchangeDefinition;
  readonly matcher: Matcher<Destination>;
  /** Where messages go that no binding takes; a name, which may be of no exchange. */
  readonly alternate: string | undefined;
  /** What was routed before. */
  readonly routes: RouteCache = new RouteCache();
  /** Where messages wait, in an exchange that delays them. */
  readonly delayQueue: Queue | undefined;
  /** The number of the message that passed it last: none passes it twice. */
  passed = 0;
  readonly #bindings = new Map<string, Binding>();

  constructor(definition: ExchangeDefinition, matcher: Matcher<Destination>, delayQueue?: Queue) {
    this.definition = definition;
    this.delayQueue = delayQueue;
    this.matcher = matcher;
    const alternate = definition.arguments["alternate-exchange"];
    this.alternate = typeof alternate === "string" ? alternate : undefined;
  }

  get name(): string {
    return this.definition.name;
  }

  get bindings(): Iterable<Binding> & { readonly size: number } {
    return { size: this.#bindings.size, [Symbol.iterator]: () => this.#bindings.values() };
  }

  /** The new binding; undefined when there is the same one. */
  bind(destination: Destination, routingKey: string, args: FieldTable): Binding | undefined {
    const key = keyOf(destination, routingKey, args);
    if (this.#bindings.has(key)) return undefined;
    const binding = { source: this, key, destination, routingKey, arguments: args };
    this.#bindings.set(key, binding);
    this.matcher.add(binding);
    return binding;
  }

  find(destination: Destination, routingKey: string, args: FieldTable): Binding | undefined {
    return this.#bindings.get(keyOf(destination, routingKey, args));
  }

  unbind(binding: Binding): void {
    if (this.#bindings.delete(binding.key)) this.matcher.remove(binding);
  }
}

/** A binding as it was declared. */
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
