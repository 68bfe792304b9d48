import { PROPERTY, type PropertyScan } from "../../../amqp/property_scan.ts";
import type { FieldTable } from "../../../amqp/types/field_value.ts";
import type { Matcher } from "../exchange/contract.ts";
import { DefaultMatcher } from "../exchange/default.ts";
import { type Binding, definitionOf, type Destination, Exchange } from "../exchange/exchange.ts";
import { makeMatcher } from "../exchange/types.ts";
import { TRACE } from "../firehose.ts";
import { PolicySet } from "../policies/policy_set.ts";
import type { Queue } from "../queue/queue.ts";
import { ExchangeRouter } from "./exchange_router.ts";
import type { RouteResult } from "./route_result.ts";
import {
  type DefinitionChange,
  type ExchangeDefinition,
  type QueueDefinition,
  readStored,
  readStoredTable,
  store,
} from "./definition_change.ts";

/**
 * Creates a queue.
 *
 * @param kind `delay` for the internal queue of an exchange that delays messages
 * @throws {AmqpError} 406: an argument is invalid
 */
export type QueueFactory = (definition: QueueDefinition, kind: "queue" | "delay") => Queue;

/** The exchanges that always exist (AMQP 0-9-1, 3.1.3; some are RabbitMQ's). */
const PREDECLARED = [
  { name: "", type: "direct", internal: false },
  { name: "amq.direct", type: "direct", internal: false },
  { name: "amq.fanout", type: "fanout", internal: false },
  { name: "amq.headers", type: "headers", internal: false },
  { name: "amq.match", type: "headers", internal: false },
  { name: TRACE, type: "topic", internal: true },
  { name: "amq.topic", type: "topic", internal: false },
];

/**
 * The queues, exchanges and bindings of a virtual host, and the routing through them. It ensures that both ends of
 * every binding exist. `VirtualHost` decides which changes are allowed.
 */
export class Topology {
  readonly exchanges: Map<string, Exchange> = new Map();
  readonly queues: Map<string, Queue> = new Map();
  readonly policies: PolicySet = new PolicySet();
  readonly #createQueue: QueueFactory;
  readonly #default: Exchange;
  readonly #router = new ExchangeRouter(this.exchanges);
  /** The bindings by destination. */
  readonly #incoming = new Map<Destination, Set<Binding>>();

  constructor(vhost: string, createQueue: QueueFactory) {
    this.#createQueue = createQueue;
    for (const own of PREDECLARED) {
      this.addExchange({ ...own, vhost, durable: true, autoDelete: false, arguments: Object.create(null) });
    }
    this.#default = this.exchanges.get("")!;
  }

  /** Fills `into` with the queues for a message; see `VirtualHost.route`. The default exchange has a fast path. */
  route(exchange: Exchange, routingKey: string, scan: PropertyScan, into: RouteResult): void {
    if (exchange !== this.#default || scan.has(PROPERTY.headers)) {
      return this.#router.route(exchange, routingKey, scan, into);
    }
    into.clear();
    const queue = this.queues.get(routingKey);
    if (queue !== undefined) into.add(queue);
  }

  /**
   * Adds an exchange.
   *
   * @param matcher the matcher of the exchange's type. Default: a new one
   * @throws {AmqpError} 503: the type is unknown; 406: an argument is invalid
   */
  addExchange(definition: ExchangeDefinition, matcher?: Matcher<Destination>): void {
    const { name, type, vhost, durable, delayQueueId: id } = definition;
    const chosen = name === ""
      ? new DefaultMatcher<Destination>(this.queues)
      : matcher ?? makeMatcher(type, definition.arguments);
    const delayQueue = id === undefined ? undefined : this.#createQueue({
      id,
      vhost,
      name,
      durable,
      exclusive: false,
      autoDelete: false,
      arguments: Object.create(null),
    }, "delay");
    const exchange = new Exchange(definition, chosen, delayQueue);
    exchange.setPolicies(this.policies.find("exchange", name));
    this.exchanges.set(name, exchange);
    // It may be the alternate exchange of another one.
    this.#router.version++;
  }

  /** Removes an exchange and its bindings. @returns the exchanges that had a binding to it */
  removeExchange(exchange: Exchange): Iterable<Exchange> {
    this.exchanges.delete(exchange.name);
    for (const binding of [...exchange.bindings]) this.removeBinding(binding);
    const sources = this.#removeBindingsTo(exchange);
    exchange.delayQueue?.close();
    this.#router.version++;
    return sources;
  }

  /** Adds a queue. @throws {AmqpError} 406: an argument is invalid */
  addQueue(definition: QueueDefinition): Queue {
    const queue = this.#createQueue(definition, "queue");
    queue.setPolicies(this.policies.find(queue.settings.type, definition.name));
    this.queues.set(definition.name, queue);
    return queue;
  }

  /** Removes and closes a queue, and removes its bindings. @returns the exchanges that had a binding to it */
  removeQueue(queue: Queue): Iterable<Exchange> {
    this.queues.delete(queue.definition.name);
    const sources = this.#removeBindingsTo(queue);
    queue.close();
    return sources;
  }

  /** Adds a binding. @returns the new binding; undefined if it exists */
  addBinding(
    from: Exchange,
    to: Destination,
    routingKey: string,
    args: FieldTable,
  ): Binding | undefined {
    const binding = from.bind(to, routingKey, args);
    if (binding === undefined) return undefined;
    const incoming = this.#incoming.get(to);
    if (incoming === undefined) this.#incoming.set(to, new Set([binding]));
    else incoming.add(binding);
    this.#router.version++;
    return binding;
  }

  /** Removes a binding. */
  removeBinding(binding: Binding): void {
    binding.source.unbind(binding);
    const incoming = this.#incoming.get(binding.destination);
    incoming?.delete(binding);
    if (incoming?.size === 0) this.#incoming.delete(binding.destination);
    this.#router.version++;
  }

  /** Applies changed policies to all queues and exchanges. */
  applyPolicies(): void {
    for (const exchange of this.exchanges.values()) {
      exchange.setPolicies(this.policies.find("exchange", exchange.name));
    }
    this.#router.version++;
    for (const queue of [...this.queues.values()]) {
      queue.setPolicies(this.policies.find(queue.settings.type, queue.name));
    }
  }

  /** Returns all bindings, except those of the default exchange. */
  *bindings(): IterableIterator<Binding> {
    for (const { bindings } of this.exchanges.values()) yield* bindings;
  }

  /** Removes everything and closes all queues. */
  clear(): void {
    const delays = [...this.exchanges.values()].flatMap(({ delayQueue }) => delayQueue ?? []);
    const queues = [...this.queues.values(), ...delays];
    this.queues.clear();
    this.exchanges.clear();
    this.#incoming.clear();
    for (const queue of queues) queue.close();
  }

  /** Returns the changes that recreate the durable definitions with `apply`. */
  *changes(): IterableIterator<DefinitionChange> {
    for (const { definition } of this.exchanges.values()) {
      const isOwn = PREDECLARED.some(({ name }) => name === definition.name);
      if (definition.durable && !isOwn) yield { type: "exchange-added", exchange: store(definition) };
    }
    for (const { definition } of this.queues.values()) {
      if (definition.durable) yield { type: "queue-added", queue: store(definition) };
    }
    for (const binding of this.bindings()) {
      if (isDurable(binding)) yield { type: "binding-added", binding: store(definitionOf(binding)) };
    }
  }

  /**
   * Applies a stored change. A change that refers to a missing queue or exchange is ignored.
   *
   * @throws {AmqpError} the change is invalid
   */
  apply(change: DefinitionChange): void {
    switch (change.type) {
      case "exchange-added":
        return this.addExchange(readStored(change.exchange));
      case "exchange-removed": {
        const exchange = this.exchanges.get(change.name);
        if (exchange !== undefined) this.removeExchange(exchange);
        return;
      }
      case "queue-added":
        this.addQueue(readStored<QueueDefinition>(change.queue));
        return;
      case "queue-removed": {
        const queue = this.queues.get(change.name);
        if (queue !== undefined) this.removeQueue(queue);
        return;
      }
      case "binding-added":
      case "binding-removed": {
        const { source, destinationType, destination, routingKey } = change.binding;
        const args = readStoredTable(change.binding.arguments);
        const from = this.exchanges.get(source);
        const to = (destinationType === "queue" ? this.queues : this.exchanges).get(destination);
        if (from === undefined || to === undefined) return;
        if (change.type === "binding-added") return void this.addBinding(from, to, routingKey, args);
        const binding = from.find(to, routingKey, args);
        if (binding !== undefined) this.removeBinding(binding);
      }
    }
  }

  #removeBindingsTo(destination: Destination): Iterable<Exchange> {
    const incoming = this.#incoming.get(destination);
    if (incoming === undefined) return [];
    const sources = new Set<Exchange>();
    for (const binding of [...incoming]) {
      this.removeBinding(binding);
      sources.add(binding.source);
    }
    return sources;
  }
}

/** Whether a binding survives a restart, which requires that both ends do. */
export function isDurable({ source, destination }: Binding): boolean {
  return source.definition.durable && destination.definition.durable;
}
