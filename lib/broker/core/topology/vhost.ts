import { amqpError } from "../../../amqp/amqp_error.ts";
import type { MethodArgs } from "../../../amqp/method_args.ts";
import type { PropertyScan } from "../../../amqp/property_scan.ts";
import type { FieldTable } from "../../../amqp/types/field_value.ts";
import { resource } from "../arguments.ts";
import { DELAYED } from "../exchange/delayed.ts";
import { type Binding, definitionOf, type Destination, Exchange } from "../exchange/exchange.ts";
import { makeMatcher } from "../exchange/types.ts";
import { TRACE } from "../firehose.ts";
import { VirtualHostStats } from "../message_stats.ts";
import { isDurable, type QueueFactory, Topology } from "./topology.ts";
import type { Limits } from "../policies/limits.ts";
import type { Policy } from "../policies/policy.ts";
import type { PolicySet } from "../policies/policy_set.ts";
import type { Queue } from "../queue/queue.ts";
import {
  checkNewExchange,
  checkNewQueue,
  checkQueueName,
  checkSameExchange,
  checkSameQueue,
  type ExchangeDeclaration,
  lockedError,
  type QueueDeclaration,
  refuseDefault,
  withDefaultType,
} from "./declaration_checks.ts";
import type { RouteResult } from "./route_result.ts";
import { type DefinitionChange, type QueueDefinition, store } from "./definition_change.ts";
import { VirtualHostSettings } from "./vhost_settings.ts";

export { RouteResult } from "./route_result.ts";
export { QUEUE_TYPES } from "./vhost_settings.ts";

/** The part of the broker that a virtual host needs. */
export interface VirtualHostContext {
  readonly createQueue: QueueFactory;
  /** Returns a new 32-bit queue id that was never used. */
  nextQueueId(): number;
  /** Called with each change that must survive a restart, in order. */
  onChange(change: DefinitionChange): void;
}

/** The connection that declares and uses queues. Exclusive queues compare it by identity. */
export type QueueOwner = object;

type QueueBinding = Omit<MethodArgs<"queue.bind">, "noWait">;
type ExchangeBinding = Omit<MethodArgs<"exchange.bind">, "noWait">;

/** A virtual host: checks and performs the operations of clients on queues, exchanges and bindings. */
export class VirtualHost {
  readonly name: string;
  readonly stats: VirtualHostStats = new VirtualHostStats();
  readonly #context: VirtualHostContext;
  readonly #topology: Topology;
  readonly #settings: VirtualHostSettings;
  readonly #owners = new Map<Queue, QueueOwner>();
  readonly #trace: Exchange;

  constructor(name: string, context: VirtualHostContext) {
    this.name = name;
    this.#context = context;
    this.#topology = new Topology(name, context.createQueue);
    this.#trace = this.#topology.exchanges.get(TRACE)!;
    this.#settings = new VirtualHostSettings(name, this.#topology, (change) => context.onChange(change));
  }

  /** Whether its messages are copied to the trace exchange: see `firehose.ts`. */
  get isTraced(): boolean {
    return this.#trace.isBound;
  }

  /** Whether a binding of the trace exchange asks for the outcomes of deliveries, which RabbitMQ does not report. */
  get reportsOutcomes(): boolean {
    for (const { routingKey } of this.#trace.bindings) if (routingKey.startsWith("ack.")) return true;
    return false;
  }

  /** Whether the trace exchange is bound to a queue. */
  isTraceQueue(queue: Queue): boolean {
    for (const { destination } of this.#trace.bindings) if (destination === queue) return true;
    return false;
  }

  get exchanges(): ReadonlyMap<string, Exchange> {
    return this.#topology.exchanges;
  }

  get queues(): ReadonlyMap<string, Queue> {
    return this.#topology.queues;
  }

  get policies(): Pick<PolicySet, "list" | "get"> {
    return this.#settings.policies;
  }

  get limits(): Limits {
    return this.#settings.limits;
  }

  /** The type of durable queues that are declared without a type; undefined for `classic`. */
  get defaultQueueType(): string | undefined {
    return this.#settings.defaultQueueType;
  }

  /** Sets all limits. Existing queues and connections are not affected. */
  setLimits(limits: Limits): void {
    this.#settings.setLimits(limits);
  }

  /** Sets the type of durable queues that are declared without a type. @throws {RangeError} the type is unknown */
  setDefaultQueueType(queueType: string): void {
    this.#settings.setDefaultQueueType(queueType);
  }

  /**
   * Adds or replaces a policy. It applies to all queues and exchanges at once.
   *
   * @throws {SyntaxError} the pattern takes too long for the names
   */
  putPolicy(operator: boolean, policy: Policy): void {
    this.#settings.putPolicy(operator, policy);
  }

  /** Removes a policy. @returns whether it existed */
  removePolicy(operator: boolean, name: string): boolean {
    return this.#settings.removePolicy(operator, name);
  }

  /**
   * Fills `into` with the queues for a message, each queue once.
   *
   * @param scan a scan of the message's properties
   * @throws {AmqpError} 406: a header CC or BCC is not a list; 501: the headers are malformed
   */
  route(exchange: Exchange, routingKey: string, scan: PropertyScan, into: RouteResult): void {
    this.#topology.route(exchange, routingKey, scan, into);
  }

  /**
   * Finds the exchange for a publish.
   *
   * @throws {AmqpError} 404: the exchange does not exist; 403: clients cannot publish to it
   */
  exchangeToPublish(name: string): Exchange {
    const exchange = this.#exchange(name);
    if (exchange.definition.internal) {
      throw amqpError(403, `cannot publish to internal ${this.#text("exchange", name)}`);
    }
    return exchange;
  }

  /**
   * Performs `exchange.declare`.
   *
   * @throws {AmqpError} 403: the name is reserved; 404: it does not exist (passive); 406: it exists and differs;
   *   503: the type is unknown
   */
  declareExchange(declared: ExchangeDeclaration): void {
    const { exchange: name, type, durable, autoDelete, internal, arguments: args } = declared;
    if (declared.passive) {
      refuseDefault(name);
      this.#exchange(name);
      return;
    }
    const matcher = makeMatcher<Destination>(type, args);
    refuseDefault(name);
    const what = this.#text("exchange", name);
    const known = this.exchanges.get(name);
    if (known !== undefined) return checkSameExchange(known.definition, declared, what);
    checkNewExchange(declared, what);
    const definition = {
      vhost: this.name,
      name,
      type,
      durable,
      autoDelete,
      internal,
      ...(type === DELAYED ? { delayQueueId: this.#context.nextQueueId() } : {}),
      arguments: args,
    };
    this.#topology.addExchange(definition, matcher);
    if (durable) this.#context.onChange({ type: "exchange-added", exchange: store(definition) });
  }

  /**
   * Performs `exchange.delete`. It is not an error if the exchange does not exist.
   *
   * @throws {AmqpError} 403: the exchange is predeclared; 406: it has bindings
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

  /** Performs `exchange.bind`; see `bindQueue`. */
  bindExchange({ source, destination, routingKey, arguments: args }: ExchangeBinding): void {
    refuseDefault(destination);
    refuseDefault(source);
    const from = this.#exchange(source);
    this.#bind(from, this.#exchange(destination), routingKey, args);
  }

  /** Performs `exchange.unbind`; see `unbindQueue`. */
  unbindExchange({ source, destination, routingKey, arguments: args }: ExchangeBinding): void {
    refuseDefault(destination);
    refuseDefault(source);
    this.#unbind(this.exchanges.get(source), this.exchanges.get(destination), routingKey, args);
  }

  /**
   * Performs `queue.declare`.
   *
   * @param name the name of a new queue; a name generated by the server can begin with `amq.`
   * @param direct whether the queue stores nothing: see `Queue.receiver`
   * @throws {AmqpError} 403: the name is reserved; 404: it does not exist (passive); 405: it belongs to another
   *   connection; 406: it exists and differs, or an argument is invalid
   */
  declareQueue(
    declared: QueueDeclaration,
    owner: QueueOwner,
    name: string = declared.queue,
    direct = false,
  ): Queue {
    if (declared.passive) return this.queueFor(name, owner);
    const args = withDefaultType(declared, this.#settings.defaultQueueType);
    checkQueueName(args, name);
    const { exclusive, autoDelete } = args;
    // An exclusive queue is deleted with its connection, so it never survives a restart.
    const durable = args.durable && !exclusive;
    const what = this.#text("queue", name);
    const known = this.queues.get(name);
    this.stats.queuesDeclared++;
    if (known !== undefined) {
      if (exclusive !== known.definition.exclusive) throw lockedError(what);
      this.#checkOwner(known, owner);
      checkSameQueue(known.definition, args, durable, what);
      return known;
    }
    checkNewQueue(args, durable, what);
    this.#settings.checkQueueLimit(name);
    const definition: QueueDefinition = {
      id: this.#context.nextQueueId(),
      vhost: this.name,
      name,
      durable,
      exclusive,
      autoDelete,
      ...(direct ? { direct } : {}),
      arguments: args.arguments,
    };
    const queue = this.#topology.addQueue(definition);
    this.stats.queuesCreated++;
    if (exclusive) this.#owners.set(queue, owner);
    if (durable) this.#context.onChange({ type: "queue-added", queue: store(definition) });
    return queue;
  }

  /** Returns a queue for a client. @throws {AmqpError} 404: it does not exist; 405: it belongs to another connection */
  queueFor(name: string, owner: QueueOwner): Queue {
    const queue = this.queues.get(name);
    if (queue === undefined) throw amqpError(404, `no ${this.#text("queue", name)}`);
    this.#checkOwner(queue, owner);
    return queue;
  }

  /**
   * Performs `queue.delete`. It is not an error if the queue does not exist.
   *
   * @param beforeDelete called before the deletion, so that the reply precedes the cancellation of consumers
   * @returns the number of ready messages in the queue
   * @throws {AmqpError} 405: it belongs to another connection; 406: it has consumers or messages
   */
  deleteQueue(
    args: Omit<MethodArgs<"queue.delete">, "noWait">,
    owner: QueueOwner,
    beforeDelete: (messageCount: number) => void = () => {},
  ): number {
    const queue = this.queues.get(args.queue);
    if (queue === undefined) {
      beforeDelete(0);
      return 0;
    }
    this.#checkOwner(queue, owner);
    queue.catchUp();
    const { ready } = queue;
    const what = this.#text("queue", args.queue);
    if (args.ifEmpty && ready > 0) throw amqpError(406, `${what} not empty`);
    if (args.ifUnused && queue.consumers.size > 0) throw amqpError(406, `${what} in use`);
    beforeDelete(ready);
    this.removeQueue(queue);
    return ready;
  }

  /** Removes and closes a queue, and removes its bindings. Does nothing if the queue was removed before. */
  removeQueue(queue: Queue): void {
    const { name, id, durable } = queue.definition;
    if (this.queues.get(name) !== queue) return;
    this.#owners.delete(queue);
    this.stats.queuesDeleted++;
    const sources = this.#topology.removeQueue(queue);
    try {
      if (durable) this.#context.onChange({ type: "queue-removed", vhost: this.name, name, id });
    } finally {
      for (const source of sources) this.#autoDelete(source);
    }
  }

  /**
   * Performs `queue.bind`.
   *
   * @throws {AmqpError} 403: the default exchange cannot be bound; 404: the queue or the exchange does not exist;
   *   405: the queue belongs to another connection; 406: the exchange type does not accept the arguments
   */
  bindQueue({ queue, exchange, routingKey, arguments: args }: QueueBinding, owner: QueueOwner): void {
    refuseDefault(exchange);
    const from = this.#exchange(exchange);
    const to = this.queues.get(queue);
    if (to === undefined) throw amqpError(404, `no ${this.#text("queue", queue)}`);
    this.#bind(from, to, routingKey, args, owner);
  }

  /**
   * Performs `queue.unbind`. It is not an error if the binding does not exist.
   *
   * @throws {AmqpError} 403: the default exchange cannot be unbound; 405: the queue belongs to another connection
   */
  unbindQueue({ queue, exchange, routingKey, arguments: args }: QueueBinding, owner: QueueOwner): void {
    refuseDefault(exchange);
    this.#unbind(this.exchanges.get(exchange), this.queues.get(queue), routingKey, args, owner);
  }

  /** Removes everything in a removed virtual host. Single changes are not reported. */
  close(): void {
    this.#owners.clear();
    this.#topology.clear();
  }

  /** Returns all bindings, except those of the default exchange. */
  bindings(): IterableIterator<Binding> {
    return this.#topology.bindings();
  }

  /** Returns the changes that recreate the durable definitions with `apply`. */
  *changes(): IterableIterator<DefinitionChange> {
    yield* this.#settings.changes();
    yield* this.#topology.changes();
  }

  /**
   * Applies a change that `onChange` reported earlier; it is not reported again. A change that refers to a missing
   * queue or exchange is ignored.
   *
   * @throws {AmqpError} the change is invalid
   */
  apply(change: DefinitionChange): void {
    if (!this.#settings.apply(change)) this.#topology.apply(change);
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
    const sources = this.#topology.removeExchange(exchange);
    try {
      if (durable) this.#context.onChange({ type: "exchange-removed", vhost: this.name, name });
    } finally {
      for (const source of sources) this.#autoDelete(source);
    }
  }

  /** Deletes an auto-delete exchange that has lost its last outgoing binding. */
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
    if (known !== undefined && known !== owner) throw lockedError(this.#text("queue", queue.definition.name));
  }

  #text(kind: "queue" | "exchange", name: string): string {
    return resource(kind, name, this.name);
  }
}
