import { amqpError } from "../amqp/amqp_error.ts";
import type { MethodArgs } from "../amqp/method_args.ts";
import type { PropertyScan } from "../amqp/property_scan.ts";
import type { FieldTable } from "../amqp/types/field_value.ts";
import { checkSame, checkSameArguments, resource, typeName } from "./arguments.ts";
import { DefaultMatcher } from "./exchange/default.ts";
import { DELAYED, DELAYED_TYPE } from "./exchange/delayed.ts";
import { type Binding, definitionOf, type Destination, Exchange } from "./exchange/exchange.ts";
import { makeMatcher } from "./exchange/types.ts";
import { Router } from "./router.ts";
import type { Routes } from "./routes.ts";
import {
  type DefinitionChange,
  type ExchangeDefinition,
  type QueueDefinition,
  readStored,
  readStoredTable,
  store,
} from "./topology.ts";

export { Routes } from "./routes.ts";

/** What a virtual host needs of a queue. */
export interface RoutedQueue {
  readonly definition: QueueDefinition;
  /** Messages that wait. */
  readonly ready: number;
  readonly consumers: { readonly size: number };
  /** The queue was deleted. */
  close(): void;
}

/** What a virtual host needs of the broker around it. */
export interface VirtualHostContext<Q extends RoutedQueue> {
  /**
   * @param kind `delay` for one that messages wait in until their time, which no client uses
   * @throws {AmqpError} 406: an argument is not what it must be
   */
  createQueue(definition: QueueDefinition, kind: "queue" | "delay"): Q;
  /** An id that no queue ever had, 32 bits. */
  nextQueueId(): number;
  /** Told of everything that is to survive a restart, in order. */
  onChange(change: DefinitionChange): void;
}

/** Who declares and uses queues: a connection. Exclusive queues are compared by it. */
export type Owner = object;

type Declared<Name extends "queue.declare" | "exchange.declare"> = Omit<MethodArgs<Name>, "noWait">;
type QueueBinding = Omit<MethodArgs<"queue.bind">, "noWait">;
type ExchangeBinding = Omit<MethodArgs<"exchange.bind">, "noWait">;

/** Exchanges that are always there (AMQP 0-9-1, 3.1.3; RabbitMQ's own besides). */
const PREDECLARED = [
  { name: "", type: "direct", internal: false },
  { name: "amq.direct", type: "direct", internal: false },
  { name: "amq.fanout", type: "fanout", internal: false },
  { name: "amq.headers", type: "headers", internal: false },
  { name: "amq.match", type: "headers", internal: false },
  { name: "amq.rabbitmq.trace", type: "topic", internal: true },
  { name: "amq.topic", type: "topic", internal: false },
];

/** Arguments of queues that a second declaration must have, too, by the type of the queue. */
const COMMON_ARGUMENTS = [
  "x-expires",
  "x-message-ttl",
  "x-dead-letter-exchange",
  "x-dead-letter-routing-key",
  "x-max-length",
  "x-max-length-bytes",
  "x-overflow",
  "x-single-active-consumer",
  "x-queue-type",
];
const CLASSIC_ARGUMENTS = [...COMMON_ARGUMENTS, "x-max-priority", "x-queue-mode", "x-queue-version"];
const QUORUM_ARGUMENTS = [...COMMON_ARGUMENTS, "x-dead-letter-strategy", "x-delivery-limit"];

/** Queues, exchanges and bindings of one virtual host. */
export class VirtualHost<Q extends RoutedQueue = RoutedQueue> {
  readonly name: string;
  readonly exchanges: Map<string, Exchange<Q>> = new Map();
  readonly queues: Map<string, Q> = new Map();
  readonly #context: VirtualHostContext<Q>;
  readonly #router = new Router<Q>(this.exchanges);
  /** Bindings by where they lead. */
  readonly #incoming = new Map<Destination<Q>, Set<Binding<Q>>>();
  readonly #owners = new Map<Q, Owner>();

  constructor(name: string, context: VirtualHostContext<Q>) {
    this.name = name;
    this.#context = context;
    for (const { name, type, internal } of PREDECLARED) {
      this.#addExchange({
        vhost: this.name,
        name,
        type,
        durable: true,
        autoDelete: false,
        internal,
        arguments: Object.create(null),
      });
    }
  }

  /**
   * Fills `into` with the queues for a message, each of them once; with none when there is no such exchange.
   *
   * @param scan of the message's properties
   * @throws {AmqpError} 406: the headers CC or BCC are no lists; 501: the headers are malformed
   */
  route(exchange: string, routingKey: string, scan: PropertyScan, into: Routes<Q>): void {
    if (exchange === "" && !scan.has("headers")) {
      into.clear();
      const queue = this.queues.get(routingKey);
      if (queue !== undefined) into.add(queue);
      return;
    }
    const source = this.exchanges.get(exchange);
    if (source === undefined) into.clear();
    else this.#router.route(source, routingKey, scan, into);
  }

  /** @throws {AmqpError} 404: there is no such exchange; 403: clients may not publish to it */
  checkPublish(exchange: string): void {
    if (this.#exchange(exchange).definition.internal) {
      throw amqpError(403, `cannot publish to internal ${this.#text("exchange", exchange)}`);
    }
  }

  /**
   * `exchange.declare`.
   *
   * @throws {AmqpError} 403: a reserved name; 404: passive, and not there; 406: it is there and differs; 503: its type
   * is unknown
   */
  declareExchange(args: Declared<"exchange.declare">): void {
    const { exchange: name, type, durable, autoDelete, internal } = args;
    if (args.passive) {
      refuseDefault(name);
      this.#exchange(name);
      return;
    }
    const matcher = makeMatcher<Destination<Q>>(type, args.arguments);
    refuseDefault(name);
    const what = this.#text("exchange", name);
    const known = this.exchanges.get(name);
    if (known !== undefined) {
      const { definition } = known;
      checkSame(definition.type, type, what, "type");
      checkSame(definition.durable, durable, what, "durable");
      checkSame(definition.autoDelete, autoDelete, what, "auto_delete");
      checkSame(definition.internal, internal, what, "internal");
      return checkSameArguments(definition.arguments, args.arguments, what, [
        DELAYED_TYPE,
        "alternate-exchange",
      ]);
    }
    refuseReserved("exchange", name);
    checkName(args.arguments, "alternate-exchange", what);
    const definition = {
      vhost: this.name,
      name,
      type,
      durable,
      autoDelete,
      internal,
      ...(type === DELAYED ? { delayQueueId: this.#context.nextQueueId() } : {}),
      arguments: args.arguments,
    };
    this.#addExchange(definition, matcher);
    if (durable) this.#context.onChange({ type: "exchange-added", exchange: store(definition) });
  }

  /**
   * `exchange.delete`; it is no error when there is none.
   *
   * @throws {AmqpError} 403: it is one of the broker's own; 406: it has bindings
   */
  deleteExchange({ exchange: name, ifUnused }: Omit<MethodArgs<"exchange.delete">, "noWait">): void {
    refuseDefault(name);
    const what = this.#text("exchange", name);
    if (name.startsWith("amq.")) throw amqpError(403, `deletion of system ${what} not allowed`);
    const exchange = this.exchanges.get(name);
    if (exchange === undefined) return;
    if (ifUnused && exchange.bindings.size > 0) throw amqpError(406, `${what} in use`);
    this.#removeExchange(exchange);
  }

  /** `exchange.bind`; see `bindQueue`. */
  bindExchange({ source, destination, routingKey, arguments: args }: ExchangeBinding): void {
    refuseDefault(destination);
    refuseDefault(source);
    const from = this.#exchange(source);
    this.#bind(from, this.#exchange(destination), routingKey, args);
  }

  /** `exchange.unbind`; see `unbindQueue`. */
  unbindExchange({ source, destination, routingKey, arguments: args }: ExchangeBinding): void {
    refuseDefault(destination);
    refuseDefault(source);
    this.#unbind(this.exchanges.get(source), this.exchanges.get(destination), routingKey, args);
  }

  /**
   * `queue.declare`.
   *
   * @param name of a new queue; one that the server chose may begin with `amq.`
   * @throws {AmqpError} 403: a reserved name; 404: passive, and not there; 405: it is another connection's; 406: it is
   * there and differs, or an argument is not what it must be
   */
  declareQueue(args: Declared<"queue.declare">, owner: Owner, name: string = args.queue): Q {
    if (args.passive) return this.queueFor(name, owner);
    if (args.queue === "" && isQuorum(args)) {
      throw amqpError(406, "Cannot declare a server-named queue for type rabbit_quorum_queue");
    }
    if (args.queue !== "") refuseReserved("queue", name);
    const { exclusive, autoDelete } = args;
    // An exclusive queue goes with its connection, so it never survives a restart.
    const durable = args.durable && !exclusive;
    const what = this.#text("queue", name);
    const known = this.queues.get(name);
    if (known !== undefined) {
      const { definition } = known;
      if (exclusive !== definition.exclusive) throw locked(what);
      this.#checkOwner(known, owner);
      checkSame(definition.durable, durable, what, "durable");
      checkSame(definition.autoDelete, autoDelete, what, "auto_delete");
      const names = isQuorum(definition) ? QUORUM_ARGUMENTS : CLASSIC_ARGUMENTS;
      checkSameArguments(definition.arguments, args.arguments, what, names);
      return known;
    }
    checkName(args.arguments, "x-dead-letter-exchange", what);
    if (isQuorum(args) && (autoDelete || exclusive || !durable)) {
      const property = autoDelete ? "auto-delete" : exclusive ? "exclusive-owner" : "non-durable";
      throw amqpError(406, `invalid property '${property}' for ${what}`);
    }
    const definition: QueueDefinition = {
      id: this.#context.nextQueueId(),
      vhost: this.name,
      name,
      durable,
      exclusive,
      autoDelete,
      arguments: args.arguments,
    };
    const queue = this.#context.createQueue(definition, "queue");
    this.queues.set(name, queue);
    if (exclusive) this.#owners.set(queue, owner);
    if (durable) this.#context.onChange({ type: "queue-added", queue: store(definition) });
    return queue;
  }

  /** @throws {AmqpError} 404: there is no such queue; 405: it is another connection's */
  queueFor(name: string, owner: Owner): Q {
    const queue = this.queues.get(name);
    if (queue === undefined) throw amqpError(404, `no ${this.#text("queue", name)}`);
    this.#checkOwner(queue, owner);
    return queue;
  }

  /**
   * `queue.delete`; it is no error when there is none.
   *
   * @returns how many messages were waiting in it
   * @throws {AmqpError} 405: it is another connection's; 406: it has consumers or messages
   */
  deleteQueue(args: Omit<MethodArgs<"queue.delete">, "noWait">, owner: Owner): number {
    const queue = this.queues.get(args.queue);
    if (queue === undefined) return 0;
    this.#checkOwner(queue, owner);
    const { ready } = queue;
    const what = this.#text("queue", args.queue);
    if (args.ifEmpty && ready > 0) throw amqpError(406, `${what} not empty`);
    if (args.ifUnused && queue.consumers.size > 0) throw amqpError(406, `${what} in use`);
    this.removeQueue(queue);
    return ready;
  }

  /** Removes a queue and its bindings, and closes it; one that is gone already is left alone. */
  removeQueue(queue: Q): void {
    const { name, id, durable } = queue.definition;
    if (this.queues.get(name) !== queue) return;
    this.queues.delete(name);
    this.#owners.delete(queue);
    if (durable) this.#context.onChange({ type: "queue-removed", vhost: this.name, name, id });
    this.#forgetWaysTo(queue, true);
    queue.close();
  }

  /**
   * `queue.bind`.
   *
   * @throws {AmqpError} 403: the default exchange has no such bindings; 404: one end is not there; 405: the queue is
   * another connection's; 406: the exchange does not take the arguments
   */
  bindQueue({ queue, exchange, routingKey, arguments: args }: QueueBinding, owner: Owner): void {
    refuseDefault(exchange);
    const from = this.#exchange(exchange);
    const to = this.queues.get(queue);
    if (to === undefined) throw amqpError(404, `no ${this.#text("queue", queue)}`);
    this.#bind(from, to, routingKey, args, owner);
  }

  /**
   * `queue.unbind`; it is no error when there is no such binding.
   *
   * @throws {AmqpError} 403: the default exchange's bindings stay; 405: the queue is another connection's
   */
  unbindQueue({ queue, exchange, routingKey, arguments: args }: QueueBinding, owner: Owner): void {
    refuseDefault(exchange);
    this.#unbind(this.exchanges.get(exchange), this.queues.get(queue), routingKey, args, owner);
  }

  /** The virtual host was removed, and every queue with it; nobody is told of each. */
  close(): void {
    const delays = [...this.exchanges.values()].flatMap(({ delayQueue }) => delayQueue ?? []);
    const queues = [...this.queues.values(), ...delays];
    this.queues.clear();
    this.exchanges.clear();
    this.#incoming.clear();
    this.#owners.clear();
    for (const queue of queues) queue.close();
  }

  /** All bindings but those of the default exchange. */
  *bindings(): IterableIterator<Binding<Q>> {
    for (const { bindings } of this.exchanges.values()) yield* bindings;
  }

  /** The bindings that lead to a queue or an exchange. */
  bindingsTo(destination: Destination<Q>): Iterable<Binding<Q>> {
    return this.#incoming.get(destination) ?? [];
  }

  /** What makes the durable part of it anew, in an order that `apply` can follow. */
  *changes(): IterableIterator<DefinitionChange> {
    for (const { definition } of this.exchanges.values()) {
      if (definition.durable && !isPredeclared(definition.name)) {
        yield { type: "exchange-added", exchange: store(definition) };
      }
    }
    for (const { definition } of this.queues.values()) {
      if (definition.durable) yield { type: "queue-added", queue: store(definition) };
    }
    for (const binding of this.bindings()) {
      if (isDurable(binding)) yield { type: "binding-added", binding: store(definitionOf(binding)) };
    }
  }

  /**
   * Does again what `onChange` told, and tells nobody. What refers to something that is gone does nothing.
   *
   * @throws {AmqpError} the change is none of this broker's making
   */
  apply(change: DefinitionChange): void {
    switch (change.type) {
      case "exchange-added":
        this.#addExchange(readStored(change.exchange));
        return;
      case "exchange-removed": {
        const exchange = this.exchanges.get(change.name);
        if (exchange !== undefined) this.#dropExchange(exchange, false);
        return;
      }
      case "queue-added": {
        const definition = readStored<QueueDefinition>(change.queue);
        this.queues.set(definition.name, this.#context.createQueue(definition, "queue"));
        return;
      }
      case "queue-removed": {
        const queue = this.queues.get(change.name);
        if (queue === undefined) return;
        this.queues.delete(change.name);
        this.#forgetWaysTo(queue, false);
        queue.close();
        return;
      }
      case "binding-added":
      case "binding-removed": {
        const { source, destinationType, destination, routingKey, arguments: args } = change.binding;
        const from = this.exchanges.get(source);
        const to = (destinationType === "queue" ? this.queues : this.exchanges).get(destination);
        if (from === undefined || to === undefined) return;
        if (change.type === "binding-added") {
          this.#addBinding(from, to, routingKey, readStoredTable(args));
          return;
        }
        const binding = from.find(to, routingKey, readStoredTable(args));
        if (binding !== undefined) this.#dropBinding(binding);
      }
    }
  }

  #bind(
    from: Exchange<Q>,
    to: Destination<Q>,
    routingKey: string,
    args: FieldTable,
    owner?: Owner,
  ): void {
    from.matcher.check?.(args);
    if (!(to instanceof Exchange)) this.#checkOwner(to, owner);
    const binding = this.#addBinding(from, to, routingKey, args);
    if (binding === undefined || !isDurable(binding)) return;
    this.#context.onChange({ type: "binding-added", binding: store(definitionOf(binding)) });
  }

  #unbind(
    from: Exchange<Q> | undefined,
    to: Destination<Q> | undefined,
    routingKey: string,
    args: FieldTable,
    owner?: Owner,
  ): void {
    if (from === undefined || to === undefined) return;
    const binding = from.find(to, routingKey, args);
    if (binding === undefined) return;
    if (!(to instanceof Exchange)) this.#checkOwner(to, owner);
    this.#dropBinding(binding);
    if (isDurable(binding)) {
      this.#context.onChange({ type: "binding-removed", binding: store(definitionOf(binding)) });
    }
    this.#autoDelete(from);
  }

  #addExchange(definition: ExchangeDefinition, matcher?: Exchange<Q>["matcher"]): void {
    const { name, type, vhost, durable, delayQueueId: id } = definition;
    const chosen = name === ""
      ? new DefaultMatcher<Destination<Q>>(this.queues)
      : matcher ?? makeMatcher(type, definition.arguments);
    const delayQueue = id === undefined ? undefined : this.#context.createQueue({
      id,
      vhost,
      name,
      durable,
      exclusive: false,
      autoDelete: false,
      arguments: Object.create(null),
    }, "delay");
    this.exchanges.set(name, new Exchange<Q>(definition, chosen, delayQueue));
    // It may be the alternate exchange of others.
    this.#router.version++;
  }

  #removeExchange(exchange: Exchange<Q>): void {
    const { name, durable } = exchange.definition;
    if (durable) this.#context.onChange({ type: "exchange-removed", vhost: this.name, name });
    this.#dropExchange(exchange, true);
  }

  #dropExchange(exchange: Exchange<Q>, autoDelete: boolean): void {
    this.exchanges.delete(exchange.name);
    for (const binding of [...exchange.bindings]) this.#dropBinding(binding);
    this.#forgetWaysTo(exchange, autoDelete);
    exchange.delayQueue?.close();
    this.#router.version++;
  }

  #addBinding(
    from: Exchange<Q>,
    to: Destination<Q>,
    routingKey: string,
    args: FieldTable,
  ): Binding<Q> | undefined {
    const binding = from.bind(to, routingKey, args);
    if (binding === undefined) return undefined;
    const incoming = this.#incoming.get(to);
    if (incoming === undefined) this.#incoming.set(to, new Set([binding]));
    else incoming.add(binding);
    this.#router.version++;
    return binding;
  }

  #dropBinding(binding: Binding<Q>): void {
    binding.source.unbind(binding);
    const incoming = this.#incoming.get(binding.destination);
    incoming?.delete(binding);
    if (incoming?.size === 0) this.#incoming.delete(binding.destination);
    this.#router.version++;
  }

  /** Bindings to what was removed go with it, without being told. */
  #forgetWaysTo(destination: Destination<Q>, autoDelete: boolean): void {
    const incoming = this.#incoming.get(destination);
    if (incoming === undefined) return;
    const sources = new Set<Exchange<Q>>();
    for (const binding of [...incoming]) {
      this.#dropBinding(binding);
      sources.add(binding.source);
    }
    if (autoDelete) { for (const source of sources) this.#autoDelete(source); }
  }

  /** An auto-delete exchange goes with the last binding that leads out of it. */
  #autoDelete(exchange: Exchange<Q>): void {
    if (!exchange.definition.autoDelete || exchange.bindings.size > 0) return;
    if (this.exchanges.get(exchange.name) === exchange) this.#removeExchange(exchange);
  }

  #exchange(name: string): Exchange<Q> {
    const exchange = this.exchanges.get(name);
    if (exchange === undefined) throw amqpError(404, `no ${this.#text("exchange", name)}`);
    return exchange;
  }

  #checkOwner(queue: Q, owner: Owner | undefined): void {
    const known = this.#owners.get(queue);
    if (known !== undefined && known !== owner) throw locked(this.#text("queue", queue.definition.name));
  }

  #text(kind: "queue" | "exchange", name: string): string {
    return resource(kind, name, this.name);
  }
}

function isQuorum(declared: { readonly arguments: FieldTable }): boolean {
  return declared.arguments["x-queue-type"] === "quorum";
}

function isPredeclared(name: string): boolean {
  return PREDECLARED.some((one) => one.name === name);
}

/** Whether both ends of a binding survive a restart, and it with them. */
function isDurable<Q extends RoutedQueue>({ source, destination }: Binding<Q>): boolean {
  return source.definition.durable && destination.definition.durable;
}

function refuseDefault(exchange: string): void {
  if (exchange === "") throw amqpError(403, "operation not permitted on the default exchange");
}

function refuseReserved(kind: "queue" | "exchange", name: string): void {
  if (name.startsWith("amq.")) {
    throw amqpError(403, `${kind} name '${name}' contains reserved prefix 'amq.*'`);
  }
}

/** An argument that is the name of an exchange. */
function checkName(args: FieldTable, name: string, what: string): void {
  const value = args[name];
  if (value === undefined || typeof value === "string") return;
  throw amqpError(406, `invalid type '${typeName(value)}' for arg '${name}' in ${what}`);
}

function locked(what: string): Error {
  return amqpError(
    405,
    `cannot obtain exclusive access to locked ${what}. It could be originally declared on another connection or ` +
      "the exclusive property value does not match that of the original declaration.",
  );
}
