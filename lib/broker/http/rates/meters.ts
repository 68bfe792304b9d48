/** The counters of each kind of object, with their names in RabbitMQ's HTTP API. */
import {
  deliverGet,
  type DeliveryStats,
  type ExchangeStats,
  type MessageStats,
  type VirtualHostStats,
} from "../../core/message_stats.ts";
import type { Exchange } from "../../core/exchange/exchange.ts";
import type { Queue } from "../../core/queue/queue.ts";
import type { VirtualHost } from "../../core/topology/vhost.ts";
import type { ClientChannel, ClientConnection } from "../../protocol.ts";
import type { HttpHost } from "../host.ts";

/** A part of the counters that is shown together. The samples of each part have parameters of their own. */
export type Part = "lengths" | "published" | "delivered" | "data" | "churn" | "disk";

/** A counter: its name, its part, and its value. */
type Counter<T> = readonly [name: string, part: Part, value: (object: T) => number];

/** The counters of a kind of object. */
export class Meter<T extends object> {
  readonly counters: readonly Counter<T>[];
  /** The indices of the counters by name. */
  readonly indices: ReadonlyMap<string, number>;
  readonly #values: Float64Array;

  constructor(...counters: Counter<T>[]) {
    this.counters = counters;
    this.indices = new Map(counters.map(([name], index) => [name, index]));
    this.#values = new Float64Array(counters.length);
  }

  /** Reads all counters. @returns an array that is valid until the next call */
  read(object: T): Float64Array {
    for (let i = 0; i < this.counters.length; i++) this.#values[i] = this.counters[i]![2](object);
    return this.#values;
  }
}

/** Applies counters to a part of an object. */
function of<T, Inner>(inner: (object: T) => Inner, counters: readonly Counter<Inner>[]): Counter<T>[] {
  return counters.map(([name, part, value]) => [name, part, (object) => value(inner(object))]);
}

const DELIVERED: readonly Counter<DeliveryStats>[] = [
  ["deliver", "delivered", (stats) => stats.delivered],
  ["deliver_no_ack", "delivered", (stats) => stats.deliveredNoAck],
  ["get", "delivered", (stats) => stats.got],
  ["get_no_ack", "delivered", (stats) => stats.gotNoAck],
  ["get_empty", "delivered", (stats) => stats.getEmpty],
  ["deliver_get", "delivered", deliverGet],
  ["redeliver", "delivered", (stats) => stats.redelivered],
  ["ack", "delivered", (stats) => stats.acknowledged],
];

const MESSAGES: readonly Counter<MessageStats>[] = [
  ["publish", "published", (stats) => stats.published],
  ["confirm", "published", (stats) => stats.confirmed],
  ["return_unroutable", "published", (stats) => stats.returned],
  ["drop_unroutable", "published", (stats) => stats.unroutable],
  ...DELIVERED,
];

const CHURN: readonly Counter<VirtualHostStats>[] = [
  ["channel_created", "churn", (stats) => stats.channelsOpened],
  ["channel_closed", "churn", (stats) => stats.channelsClosed],
  ["queue_declared", "churn", (stats) => stats.queuesDeclared],
  ["queue_created", "churn", (stats) => stats.queuesCreated],
  ["queue_deleted", "churn", (stats) => stats.queuesDeleted],
];

/** The number of messages in queues. */
export interface Lengths {
  readonly ready: number;
  readonly unacked: number;
}

const LENGTHS: readonly Counter<Lengths>[] = [
  ["messages", "lengths", ({ ready, unacked }) => ready + unacked],
  ["messages_ready", "lengths", ({ ready }) => ready],
  ["messages_unacknowledged", "lengths", ({ unacked }) => unacked],
];

const OCTETS: readonly Counter<{ readonly received: number; readonly sent: number }>[] = [
  ["recv_oct", "data", ({ received }) => received],
  ["send_oct", "data", ({ sent }) => sent],
];

/** A virtual host with the sums over its queues and connections. */
export interface MeasuredVhost extends Lengths {
  readonly vhost: VirtualHost;
  readonly received: number;
  readonly sent: number;
}

/** A broker with the sums over its virtual hosts. */
export interface MeasuredBroker extends Lengths {
  readonly broker: HttpHost;
  readonly stats: VirtualHostStats;
}

export const QUEUE: Meter<Queue> = new Meter(
  ...LENGTHS,
  ["publish", "published", ({ stats }: Queue) => stats.published],
  ...of(({ stats }: Queue) => stats, DELIVERED),
);

export const EXCHANGE: Meter<Exchange> = new Meter(
  ...of(({ stats }: Exchange): ExchangeStats => stats, [
    ["publish_in", "published", (stats) => stats.published],
    ["publish_out", "published", (stats) => stats.routed],
  ]),
);

export const CHANNEL: Meter<ClientChannel> = new Meter(...of(({ stats }: ClientChannel) => stats, MESSAGES));

export const CONNECTION: Meter<ClientConnection> = new Meter<ClientConnection>(...OCTETS);

export const VHOST: Meter<MeasuredVhost> = new Meter(
  ...LENGTHS,
  ...OCTETS,
  ...of(({ vhost }: MeasuredVhost) => vhost.stats, MESSAGES),
);

export const BROKER: Meter<MeasuredBroker> = new Meter(
  ...LENGTHS,
  ...of(({ stats }: MeasuredBroker) => stats, [...MESSAGES, ...CHURN]),
  ["disk_reads", "disk", ({ broker }: MeasuredBroker) => broker.core.journal.diskReads],
  ["disk_writes", "disk", ({ broker }: MeasuredBroker) => broker.core.journal.written],
  ["connection_created", "churn", ({ broker }: MeasuredBroker) => broker.core.counters.connectionsOpened],
  ["connection_closed", "churn", ({ broker }: MeasuredBroker) => broker.core.counters.connectionsClosed],
);

/** Adds up the messages of queues. */
export function lengthsOf(queues: Iterable<Lengths>): Lengths {
  let ready = 0;
  let unacked = 0;
  for (const queue of queues) {
    ready += queue.ready;
    unacked += queue.unacked;
  }
  return { ready, unacked };
}

/** Adds up the queues and the connections of a virtual host. */
export function measureVhost(vhost: VirtualHost, connections: Iterable<ClientConnection>): MeasuredVhost {
  let { received, sent } = vhost.stats;
  for (const connection of connections) {
    if (connection.vhost !== vhost) continue;
    received += connection.received;
    sent += connection.sent;
  }
  return { vhost, received, sent, ...lengthsOf(vhost.queues.values()) };
}

export function measureBroker(broker: HttpHost): MeasuredBroker {
  const lengths = lengthsOf([...broker.core.vhosts.values()].map(({ queues }) => lengthsOf(queues.values())));
  return { broker, stats: broker.core.stats, ...lengths };
}
