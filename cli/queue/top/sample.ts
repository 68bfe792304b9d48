/** What a broker says about its queues at one time, for `queue top`. */
import type { AmqpConnection } from "../../../lib/amqp/client/connection.ts";
import { askFirst, askList } from "../../../lib/amqp/client/http_api.ts";
import type { QueueInfo } from "../../../lib/amqp/client/management.ts";
import { countQueues } from "../../../lib/amqp/client/peek.ts";
import type { BrokerAddress } from "../../../lib/amqp/client/url.ts";
import type { CountedQueue } from "../../../lib/amqp/peek.ts";
import type { SortColumn } from "./columns.ts";
import { expressionOf, matchesName } from "../name_pattern.ts";

/** A queue; rates are in messages per second. What a broker does not know is undefined. */
export interface QueueSample {
  readonly name: string;
  readonly type: string;
  readonly ready: number;
  readonly unacked: number;
  readonly consumers: number;
  readonly in: number | undefined;
  readonly out: number | undefined;
  readonly acks: number | undefined;
  /** In bytes. */
  readonly memory: number | undefined;
  /** The age of the oldest message, in seconds. */
  readonly age: number | undefined;
}

/** The sums over all queues, and the state of the broker. */
export interface Totals {
  /** The number of queues that match the pattern. */
  readonly queues: number;
  readonly ready: number;
  readonly unacked: number;
  readonly in: number | undefined;
  readonly out: number | undefined;
  readonly acks: number | undefined;
  readonly consumers: number | undefined;
  readonly connections: number | undefined;
  /** What needs attention, such as `memory alarm on rabbit@one`. */
  readonly alarms: readonly string[];
}

export interface Sample {
  readonly totals: Totals;
  /** The queues of the page, sorted. */
  readonly queues: readonly QueueSample[];
}

/** Which queues are wanted. */
export interface Wanted {
  readonly sort: SortColumn;
  /** Whether the smallest comes first. */
  readonly ascending: boolean;
  /** A pattern with `*` for the whole name; empty for all queues. */
  readonly pattern: string;
  /** From 0. */
  readonly page: number;
  /** The number of queues of a page, at most `MAX_PAGE`; undefined: all queues at once. */
  readonly size?: number;
}

/** The largest page that RabbitMQ makes. */
export const MAX_PAGE = 500;

/** Where samples come from. */
export type Sampler = (wanted: Wanted) => Promise<Sample>;

/** A description of a queue with its counters. */
type Described = QueueInfo & {
  readonly memory?: number;
  readonly message_stats?: Counters;
};

interface Rate {
  readonly rate: number;
}

/** The counters of a queue or of the broker, and their rates where the broker has them. */
interface Counters {
  readonly publish?: number;
  readonly publish_details?: Rate;
  readonly deliver_get?: number;
  readonly deliver_get_details?: Rate;
  readonly ack?: number;
  readonly ack_details?: Rate;
}

interface QueuePage {
  readonly items: readonly Described[];
  /** The number of queues on all pages. */
  readonly filtered_count: number;
}

interface Overview {
  readonly message_stats?: Counters;
  readonly queue_totals?: { readonly messages_ready?: number; readonly messages_unacknowledged?: number };
  readonly object_totals?: { readonly connections?: number; readonly consumers?: number };
}

interface Node {
  readonly name: string;
  readonly running?: boolean;
  readonly mem_alarm?: boolean;
  readonly disk_free_alarm?: boolean;
  readonly partitions?: readonly string[];
}

const SORT_PATHS: Record<SortColumn, string> = {
  name: "name",
  ready: "messages_ready",
  unacked: "messages_unacknowledged",
  in: "message_stats.publish_details.rate",
  out: "message_stats.deliver_get_details.rate",
  acks: "message_stats.ack_details.rate",
  consumers: "consumers",
  memory: "memory",
};

const COLUMNS = [
  "name",
  "type",
  "messages_ready",
  "messages_unacknowledged",
  "consumers",
  "memory",
  "head_message_timestamp",
  "oldest_message_received_timestamp",
  ...["publish", "deliver_get", "ack"].map((name) => `message_stats.${name}_details.rate`),
].join(",");

/** Samples from RabbitMQ's HTTP API, which filters, sorts and pages. */
export function httpSampler(bases: readonly string[], broker: BrokerAddress): Sampler {
  const vhost = encodeURIComponent(broker.vhost);
  /** Asks for a page of queues, from 0. */
  const askPage = async ({ sort, ascending, pattern }: Wanted, page: number, size: number) => {
    const query = new URLSearchParams({
      page: `${page + 1}`,
      page_size: `${size}`,
      pagination: "true",
      sort: SORT_PATHS[sort],
      sort_reverse: `${!ascending}`,
      columns: COLUMNS,
      name: pattern === "" ? "" : expressionOf(pattern),
      use_regex: `${pattern !== ""}`,
    });
    return await askFirst(bases, broker, `queues/${vhost}?${query}`) as QueuePage;
  };
  const askQueues = async (wanted: Wanted): Promise<QueuePage> => {
    const { page, size } = wanted;
    if (size !== undefined) return await askPage(wanted, page, Math.min(size, MAX_PAGE));
    const items: Described[] = [];
    for (let page = 0;; page++) {
      const found = await askPage(wanted, page, MAX_PAGE);
      items.push(...found.items);
      if (found.items.length < MAX_PAGE) return { items, filtered_count: found.filtered_count };
    }
  };
  return async (wanted) => {
    const [found, overview, nodes] = await Promise.all([
      askQueues(wanted),
      askFirst(
        bases,
        broker,
        "overview?columns=message_stats,queue_totals,object_totals",
      ) as Promise<Overview>,
      askList<Node>(bases, broker, "nodes?columns=name,running,mem_alarm,disk_free_alarm,partitions"),
    ]);
    const { message_stats, queue_totals, object_totals } = overview;
    return {
      queues: found.items.map((queue) => sampleOf(queue, ratesOf(queue.message_stats ?? {}))),
      totals: {
        queues: found.filtered_count,
        ready: queue_totals?.messages_ready ?? 0,
        unacked: queue_totals?.messages_unacknowledged ?? 0,
        ...ratesOf(message_stats ?? {}),
        consumers: object_totals?.consumers,
        connections: object_totals?.connections,
        alarms: nodes.flatMap(alarmsOf),
      },
    };
  };
}

/** Samples from our own broker over AMQP. Rates are the differences of its counters between two samples. */
export function amqpSampler(connection: AmqpConnection): Sampler {
  let before = new Map<string, CountedQueue>();
  let beforeAt = performance.now();
  return async ({ sort, ascending, pattern, page, size }) => {
    const counted = await countQueues(connection);
    const now = performance.now();
    const seconds = (now - beforeAt) / 1000;
    const clock = Date.now();
    const all = counted.map((queue) => countedSample(queue, before.get(queue[0]), seconds, clock));
    before = new Map(counted.map((queue) => [queue[0], queue]));
    beforeAt = now;
    const matching = pattern === "" ? all : all.filter(({ name }) => matchesName(pattern, name));
    matching.sort((a, b) => (ascending ? 1 : -1) * compare(a[sort], b[sort]) || (a.name < b.name ? -1 : 1));
    return {
      queues: size === undefined ? matching : matching.slice(page * size, (page + 1) * size),
      totals: {
        queues: matching.length,
        ready: sum(all, "ready")!,
        unacked: sum(all, "unacked")!,
        in: sum(all, "in"),
        out: sum(all, "out"),
        acks: sum(all, "acks"),
        consumers: sum(all, "consumers"),
        connections: undefined,
        alarms: connection.blocked === undefined ? [] : [`publishers are blocked: ${connection.blocked}`],
      },
    };
  };
}

type Rates = Pick<QueueSample, "in" | "out" | "acks">;

/** The rates of a broker that has them. It omits those of what never happened. */
function ratesOf({ publish_details, deliver_get_details, ack_details }: Counters): Rates {
  return {
    in: publish_details?.rate ?? 0,
    out: deliver_get_details?.rate ?? 0,
    acks: ack_details?.rate ?? 0,
  };
}

/** @param before the same queue `seconds` earlier, if it was there */
function countedSample(
  queue: CountedQueue,
  before: CountedQueue | undefined,
  seconds: number,
  clock: number,
): QueueSample {
  const [name, type, ready, unacked, consumers, memory, receivedAt, published, delivered, acknowledged] =
    queue;
  const rate = (count: number, at: 7 | 8 | 9) =>
    before === undefined ? undefined : Math.max(0, count - before[at]) / seconds;
  return {
    name,
    type,
    ready,
    unacked,
    consumers,
    in: rate(published, 7),
    out: rate(delivered, 8),
    acks: rate(acknowledged, 9),
    memory: memory ?? undefined,
    age: receivedAt === null ? undefined : Math.max(0, (clock - receivedAt) / 1000),
  };
}

function sampleOf(queue: Described, rates: Rates): QueueSample {
  return {
    name: queue.name,
    type: queue.type ?? "classic",
    ready: queue.messages_ready ?? 0,
    unacked: queue.messages_unacknowledged ?? 0,
    consumers: queue.consumers ?? 0,
    ...rates,
    memory: queue.memory,
    age: ageOf(queue),
  };
}

/** RabbitMQ knows the property `timestamp` of the first message only, in seconds. */
function ageOf({ oldest_message_received_timestamp: received, head_message_timestamp: head }: Described) {
  const since = typeof received === "number" ? received : typeof head === "number" ? head * 1000 : undefined;
  return since === undefined ? undefined : Math.max(0, (Date.now() - since) / 1000);
}

function alarmsOf({ name, running, mem_alarm, disk_free_alarm, partitions = [] }: Node): string[] {
  const alarms: string[] = [];
  if (running === false) alarms.push(`${name} is down`);
  if (mem_alarm) alarms.push(`memory alarm on ${name}`);
  if (disk_free_alarm) alarms.push(`disk alarm on ${name}`);
  if (partitions.length > 0) alarms.push(`${name} is cut off from ${partitions.join(", ")}`);
  return alarms;
}

function sum(
  queues: readonly QueueSample[],
  column: "ready" | "unacked" | "in" | "out" | "acks" | "consumers",
) {
  let total: number | undefined;
  for (const { [column]: value } of queues) if (value !== undefined) total = (total ?? 0) + value;
  return total ?? (column === "in" || column === "out" || column === "acks" ? undefined : 0);
}

function compare(a: string | number | undefined, b: string | number | undefined): number {
  if (typeof a === "string" || typeof b === "string") {
    return String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0;
  }
  return (a ?? -1) - (b ?? -1);
}
