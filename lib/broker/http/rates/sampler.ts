import type { HttpHost } from "../host.ts";
import { History } from "./history.ts";
import {
  BROKER,
  CHANNEL,
  CONNECTION,
  EXCHANGE,
  measureBroker,
  measureVhost,
  type Meter,
  QUEUE,
  VHOST,
} from "./meters.ts";

/** The time between two samples, in milliseconds; RabbitMQ's is the same. */
const INTERVAL = 5000;
/** How long samples of the broker and its virtual hosts are kept, and those of other objects, in milliseconds. */
const LONG = 3_600_000;
const SHORT = 600_000;
/** The same for objects in a broker that has many of them, and how many these are. */
const SHORTEST = 60_000;
const MANY = 1000;

/** Samples the counters of all objects while HTTP is served, so that rates cost nothing where messages pass. */
export class Sampler {
  /** The times of the last sample and the one before it, in milliseconds since 1970; 0 for none. */
  last = 0;
  previous = 0;
  readonly #broker: HttpHost;
  readonly #interval: number;
  #histories = new WeakMap<object, History>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(broker: HttpHost, interval: number = INTERVAL) {
    this.#broker = broker;
    this.#interval = interval;
  }

  /** Samples now, and then regularly until `close`. */
  start(): void {
    this.sample();
    this.#wait();
  }

  /** The samples of an object; undefined for an object that is new. */
  historyOf(object: object): History | undefined {
    return this.#histories.get(object);
  }

  /** Samples all counters now. @param now in milliseconds since 1970 */
  sample(now: number = Date.now()): void {
    if (now <= this.last) {
      if (this.last - now < this.#interval) return;
      // The clock of the system was set back.
      this.#histories = new WeakMap();
      this.last = 0;
    }
    this.previous = this.last;
    this.last = now;
    const { connections, core } = this.#broker;
    this.#add(BROKER, core, measureBroker(this.#broker), LONG);
    const channels = [...connections].flatMap((connection) =>
      connection.channels.filter((channel) => channel !== undefined)
    );
    for (const vhost of core.vhosts.values()) {
      this.#add(VHOST, vhost, measureVhost(vhost, connections), LONG);
      for (const exchange of vhost.exchanges.values()) {
        if (exchange.stats.published > 0) {
          this.#add(EXCHANGE, exchange, exchange, lifetime(vhost.exchanges.size));
        }
      }
      for (const queue of vhost.queues.values()) this.#add(QUEUE, queue, queue, lifetime(vhost.queues.size));
    }
    for (const connection of connections) {
      this.#add(CONNECTION, connection, connection, lifetime(connections.size));
    }
    for (const channel of channels) this.#add(CHANNEL, channel.stats, channel, lifetime(channels.length));
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  /** Waits for the next multiple of the interval: RabbitMQ's timestamps are such. */
  #wait(): void {
    const left = this.#interval - Date.now() % this.#interval;
    this.#timer = setTimeout(() => {
      // A timer is a few milliseconds late.
      const step = this.#interval / 10;
      this.sample(Math.round(Date.now() / step) * step);
      this.#wait();
    }, left);
  }

  #add<T extends object>(meter: Meter<T>, key: object, object: T, kept: number): void {
    let history = this.#histories.get(key);
    if (history === undefined) this.#histories.set(key, history = new History(meter.counters.length));
    history.add(this.last, meter.read(object), kept / this.#interval + 1);
  }
}

/** How long the samples of one of so many objects are kept. */
function lifetime(count: number): number {
  return count > MANY ? SHORTEST : SHORT;
}
