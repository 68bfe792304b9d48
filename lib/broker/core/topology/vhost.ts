import { amqpError } from "../../../amqp/amqp_error.ts";
import type { MethodArgs } from "../../../amqp/method_args.ts";
import type { PropertyScan } from "../../../amqp/property_scan.ts";
import type { FieldTable } from "../../../amqp/types/field_value.ts";
import { checkSame, checkSameArguments, resource, typeName } from "../arguments.ts";
import { DELAYED, DELAYED_TYPE } from "../exchange/delayed.ts";
import { type Binding, definitionOf, type Destination, Exchange } from "../exchange/exchange.ts";
import { makeMatcher } from "../exchange/types.ts";
import { isDurable, type QueueFactory, Topology } from "./topology.ts";
import type { Queue } from "../queue/queue.ts";
import type { RouteResult } from "./route_result.ts";
import { type DefinitionChange, type QueueDefinition, store } from "./definition_change.ts";

export { RouteResult } from "./route_result.ts";

/** What a virtual host needs of the broker around it. */
export interface VirtualHostContext {
  readonly createQueue: QueueFactory;
  /** An id that no queue ever had, 32 bits. */
  nextQueueId(): number;
  /** Told of everything that is to survive a restart, in order. */
  onChange(change: DefinitionChange): void;
}

/** Who declares and uses queues: a connection. Exclusive queues are compared by it. */
export type QueueOwner = object;

type Declared<Name extends "queue.declare" | "exchange.declare"> = Omit<MethodArgs<Name>, "noWait">;
type QueueBinding = Omit<MethodArgs<"queue.bind">, "noWait">;
type ExchangeBinding = Omit<MethodArgs<"exchange.bind">, "noWait">;

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

/** One virtual host: what clients may do to its queues, exchanges and bindings, and what of them survives a restart. */
export class VirtualHost {
  readonly name: string;
  readonly #context: VirtualHostContext;
  readonly #topology: Topology;
  readonly #owners = new Map<Queue, QueueOwner>();

  constructor(name: string, context: VirtualHostContext) {
    this.name = name;
    this.#context = context;
    this.#topology = new Topology(name, context.createQueue);
  }

  get exchanges(): ReadonlyMap<string, Exchange> {
    return this.#topology.exchanges;
  }

  get queues(): ReadonlyMap<string, Queue> {
    return this.#topology.queues;
  }

  /**
   * Fills `into` with the queues for a message, each of them once; with none when there is no such exchange.
   *
   * @param scan of the message's properties
   * @throws {AmqpError} 406: the headers CC or BCC are no lists; 501: the headers are malformed
   */
  route(exchange: string, routingKey: string, scan: PropertyScan, into: RouteResult): void {
    this.#topology.route(exchange, routingKey, scan, into);
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
    const matcher = makeMatcher<Destination>(type, args.arguments);
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
    this.#topology.addExchange(definition, matcher);
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
  declareQueue(args: Declared<"queue.declare">, owner: QueueOwner, name: string = args.queue): Queue {
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
    const queue = this.#topology.addQueue(definition);
    if (exclusive) this.#owners.set(queue, owner);
    if (durable) this.#context.onChange({ type: "queue-added", queue: store(definition) });
    return queue;
  }

  /** @throws {AmqpError} 404: there is no such queue; 405: it is another connection's */
  queueFor(name: string, owner: QueueOwner): Queue {
    const queue = this.queues.get(name);
    if (queue === undefined) throw amqpError(404, `no ${this.#text("queue", name)}`);
    this.#checkOwner(queue, owner);
    return queue;
  }

  /**
   * `queue.delete`; it is no error when there is none.
   *
   * @param agreed called before it goes: who asked is answered before its consumers are told
   * @returns how many messages were waiting in it
   * @throws {AmqpError} 405: it is another connection's; 406: it has consumers or messages
   */
  deleteQueue(
    args: Omit<MethodArgs<"queue.delete">, "noWait">,
    owner: QueueOwner,
    agreed: (messageCount: number) => void = () => {},
  ): number {
    const queue = this.queues.get(args.queue);
    if (queue === undefined) {
      agreed(0);
      return 0;
    }
    this.#checkOwner(queue, owner);
    const { ready } = queue;
    const what = this.#text("queue", args.queue);
    if (args.ifEmpty && ready > 0) throw amqpError(406, `${what} not empty`);
    if (args.ifUnused && queue.consumers.size > 0) throw amqpError(406, `${what} in use`);
    agreed(ready);
    this.removeQueue(queue);
    return ready;
  }

  /** Removes a queue and its bindings, and closes it; one that is gone already is left alone. */
  removeQueue(queue: Queue): void {
    const { name, id, durable } = queue.definition;
    if (this.queues.get(name) !== queue) return;
    this.#owners.delete(queue);
    if (durable) this.#context.onChange({ type: "queue-removed", vhost: this.name, name, id });
    for (const source of this.#topology.removeQueue(queue)) this.#autoDelete(source);
  }

  /**
   * `queue.bind`.
   *
   * @throws {AmqpError} 403: the default exchange has no such bindings; 404: one end is not there; 405: the queue is
   * another connection's; 406: the exchange does not take the arguments
   */
  bindQueue({ queue, exchange, routingKey, arguments: args }: QueueBinding, owner: QueueOwner): void {
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
  unbindQueue({ queue, exchange, routingKey, arguments: args }: QueueBinding, owner: QueueOwner): void {
    refuseDefault(exchange);
    this.#unbind(this.exchanges.get(exchange), this.queues.get(queue), routingKey, args, owner);
  }

  /** The virtual host was removed, and everything in it; nobody is told of each. */
  close(): void {
    this.#owners.clear();
    this.#topology.clear();
  }

  /** All bindings but those of the default exchange. */
  bindings(): IterableIterator<Binding> {
    return this.#topology.bindings();
  }

  /** What makes the durable part of it anew, in an order that `apply` can follow. */
  changes(): IterableIterator<DefinitionChange> {
    return this.#topology.changes();
  }

  /**
   * Does again what `onChange` told, and tells nobody. What refers to something that is gone does nothing.
   *
   * @throws {AmqpError} the change is none of this broker's making
   */
  apply(change: DefinitionChange): void {
    this.#topology.apply(change);
  }

  #bind(
    from: Exchange,
    to: Destination,
    routingKey: string,
    args: FieldTable,
    owner?: QueueOwner,
  ): void {
    from.matcher.check?.(args);
    if (!(to instanceof Exchange)) this.#checkOwner(to, owner);
    const binding = this.#topology.addBinding(from, to, routingKey, args);
    if (binding === undefined || !isDurable(binding)) return;
    this.#context.onChange({ type: "binding-added", binding: store(definitionOf(binding)) });
  }

  #unbind(
    from: Exchange | undefined,
    to: Destination | undefined,
    routingKey: string,
    args: FieldTable,
    owner?: QueueOwner,
  ): void {
    if (from === undefined || to === undefined) return;
    const binding = from.find(to, routingKey, args);
    if (binding === undefined) return;
    if (!(to instanceof Exchange)) this.#checkOwner(to, owner);
    this.#topology.removeBinding(binding);
    if (isDurable(binding)) {
      this.#context.onChange({ type: "binding-removed", binding: store(definitionOf(binding)) });
    }
    this.#autoDelete(from);
  }

  #removeExchange(exchange: Exchange): void {
    const { name, durable } = exchange.definition;
    if (durable) this.#context.onChange({ type: "exchange-removed", vhost: this.name, name });
    for (const source of this.#topology.removeExchange(exchange)) this.#autoDelete(source);
  }

  /** An auto-delete exchange goes with the last binding that leads out of it. */
  #autoDelete(exchange: Exchange): void {
    if (!exchange.definition.autoDelete || exchange.bindings.size > 0) return;
    if (this.exchanges.get(exchange.name) === exchange) this.#removeExchange(exchange);
  }

  #exchange(name: string): Exchange {
    const exchange = this.exchanges.get(name);
    if (exchange === undefined) throw amqpError(404, `no ${this.#text("exchange", name)}`);
    return exchange;
  }

  #checkOwner(queue: Queue, owner: QueueOwner | undefined): void {
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
