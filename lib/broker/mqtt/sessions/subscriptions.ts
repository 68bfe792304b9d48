import type { FieldTable } from "../../../amqp/types/field_value.ts";
import { TopicTree } from "../../../mqtt/topic_tree.ts";
import { bindingKeyOf, exchangeSeparators, filterOf } from "../names.ts";

/** The options of a subscription. */
export interface SubscriptionOptions {
  readonly qos: number;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  /** The subscription identifier; undefined if it has none. */
  readonly id: number | undefined;
}

/** A subscription of a session. */
export interface Subscription extends SubscriptionOptions {
  readonly filter: string;
  /**
   * The queue of the session that it binds: 0 for QoS 0, 1 for QoS 1 and 2. A subscription whose QoS is lowered keeps its
   * queue, so that no message is lost [MQTT-3.8.4-4].
   */
  readonly queue: 0 | 1;
}

/** How a message is sent for all subscriptions that match it. */
export interface Match {
  readonly qos: number;
  /** The queue whose copy is sent; the other queue may have another copy. */
  readonly queue: 0 | 1;
  readonly retainAsPublished: boolean;
  readonly ids: readonly number[] | undefined;
  /** The same without subscriptions that want no messages of their own client; undefined if no subscription is left. */
  readonly foreign: Match | undefined;
}

/** The maximum number of topics whose matches are kept. */
const MAX_CACHED = 4096;

/** The subscriptions of a session, and which of them match a message. */
export class SubscriptionSet {
  /** How many of them want no messages of their own client. */
  noLocal = 0;
  readonly #byFilter = new Map<string, Subscription>();
  readonly #tree = new TopicTree<Subscription>();
  /** By routing key; null if nothing matches. */
  readonly #matches = new Map<string, Match | null>();
  /** How many have a level `*`, which is a wildcard in a binding. */
  #stars = 0;

  get size(): number {
    return this.#byFilter.size;
  }

  /** Whether a binding may select messages that no subscription matches. */
  get isLoose(): boolean {
    return this.#stars > 0;
  }

  get(filter: string): Subscription | undefined {
    return this.#byFilter.get(filter);
  }

  [Symbol.iterator](): IterableIterator<Subscription> {
    return this.#byFilter.values();
  }

  /** Adds or replaces a subscription. */
  set(subscription: Subscription): void {
    this.delete(subscription.filter);
    this.#byFilter.set(subscription.filter, subscription);
    this.#tree.set(subscription.filter, subscription);
    this.#count(subscription, 1);
  }

  delete(filter: string): void {
    const known = this.#byFilter.get(filter);
    if (known === undefined) return;
    this.#byFilter.delete(filter);
    this.#tree.delete(filter);
    this.#count(known, -1);
  }

  /** Returns how a message with this routing key is sent; undefined if no subscription matches. */
  match(routingKey: string): Match | undefined {
    let match = this.#matches.get(routingKey);
    if (match === undefined) {
      const found: Subscription[] = [];
      this.#tree.matchTopic(exchangeSeparators(routingKey), (one) => found.push(one));
      match = combine(found) ?? null;
      if (this.#matches.size === MAX_CACHED) this.#matches.clear();
      this.#matches.set(routingKey, match);
    }
    return match ?? undefined;
  }

  #count({ noLocal, filter }: Subscription, by: 1 | -1): void {
    this.#matches.clear();
    if (noLocal) this.noLocal += by;
    if (filter.split("/").includes("*")) this.#stars += by;
  }
}

/** Returns how a message is sent for these subscriptions: one copy with the highest QoS and all identifiers (3.3.4). */
export function combine(found: readonly Subscription[]): Match | undefined {
  if (found.length === 0) return undefined;
  const ids = found.flatMap(({ id }) => id === undefined ? [] : [id]);
  const match = {
    qos: Math.max(...found.map(({ qos }) => qos)),
    queue: found.some(({ queue }) => queue === 1) ? 1 as const : 0 as const,
    retainAsPublished: found.some(({ retainAsPublished }) => retainAsPublished),
    ids: ids.length === 0 ? undefined : ids,
  };
  const foreign = found.filter(({ noLocal }) => !noLocal);
  if (foreign.length < found.length) return { ...match, foreign: combine(foreign) };
  const self: Match = { ...match, foreign: undefined };
  (self as { foreign: Match | undefined }).foreign = self;
  return self;
}

/** The arguments of a binding, which keep the options of its subscription. */
export function argumentsOf({ filter, qos, noLocal, retainAsPublished, id }: Subscription): FieldTable {
  const args: FieldTable = Object.create(null);
  args["x-mqtt-qos"] = qos;
  if (noLocal) args["x-mqtt-no-local"] = true;
  if (retainAsPublished) args["x-mqtt-retain-as-published"] = true;
  if (id !== undefined) args["x-mqtt-subscription-id"] = id;
  if (filterOf(bindingKeyOf(filter)) !== filter) args["x-mqtt-filter"] = filter;
  return args;
}

/** Reads the subscription of a binding; undefined if the binding is not one of MQTT. */
export function subscriptionOf(
  routingKey: string,
  args: FieldTable,
  queue: 0 | 1,
): Subscription | undefined {
  const { ["x-mqtt-qos"]: qos, ["x-mqtt-subscription-id"]: id, ["x-mqtt-filter"]: filter } = args;
  if (typeof qos !== "number") return undefined;
  return {
    filter: typeof filter === "string" ? filter : filterOf(routingKey),
    qos,
    noLocal: args["x-mqtt-no-local"] === true,
    retainAsPublished: args["x-mqtt-retain-as-published"] === true,
    id: typeof id === "number" ? id : undefined,
    queue,
  };
}
