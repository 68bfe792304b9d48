import type { Delivery } from "../../lib/amqp/client/channel.ts";
import { Consumer, type Receipt } from "../../lib/amqp/client/consumer.ts";
import { connectBroker } from "../../lib/amqp/client/link.ts";
import { type Bodies, type Envelope, Publisher } from "../../lib/amqp/client/publisher.ts";
import { findQueue } from "../../lib/amqp/client/queues.ts";
import { decodeProperties, encodeProperties } from "../../lib/amqp/properties.ts";
import { LimitError } from "../../lib/errors.ts";
import { EXIT, TimeoutError } from "../app/errors.ts";
import { Progress } from "../app/progress.ts";
import type { Session } from "../app/session.ts";
import { messages, unsentWait } from "../app/tally.ts";
import { requireQueue } from "./existence.ts";
import { report } from "../brokers/put.ts";
import { refuseStream, SUSPICION_MS } from "./streams.ts";
import { farewell, startWithin } from "../brokers/link.ts";
import type { BrokerTarget } from "./target.ts";

/** The interval between checks of an empty queue, in milliseconds. */
const LOOK_MS = 50;
/** How long to wait for the last confirms, in milliseconds. */
const LAST_MS = 30_000;
/** The maximum number of queues in the final report. */
const NAMED = 5;

/** The values of the options of `queue move` and `queue redrive`. */
export interface MoveOptions {
  readonly count: number | undefined;
  readonly timeout: number | undefined;
  readonly prefetch: number | undefined;
  /** Whether to create the target queue if it does not exist. */
  readonly declare: boolean | undefined;
  /** The number of messages to move. It is exact as long as no connection is lost. */
  readonly about?: number;
}

/** The destination of messages. */
export interface Destination extends BrokerTarget {
  /** The queue for all of them; undefined: `address` decides for each. */
  readonly queue: string | undefined;
  /** Returns the envelope for a message; undefined: it must stay. `properties` are valid only during the call. */
  address(properties: Uint8Array): Envelope | undefined;
}

/** A received message, and the copy to publish. */
interface Moving {
  readonly bodies: Bodies;
  readonly envelope: Envelope;
  readonly receipt: Receipt;
}

/** Moves messages until the queue is empty: each one is acknowledged only after its copy is confirmed. */
export async function moveAll(
  session: Session,
  from: BrokerTarget & { readonly queue: string },
  to: Destination,
  options: MoveOptions,
): Promise<void> {
  const move = new Move(session, from, to, options);
  const progress = new Progress(session, () => move.moved, "moved");
  try {
    await move.run();
  } finally {
    progress.end();
    move.report();
  }
}

class Move {
  /** The number of messages that were moved. */
  moved = 0;

  readonly #session: Session;
  readonly #from: BrokerTarget & { readonly queue: string };
  readonly #to: Destination;
  readonly #options: MoveOptions;
  readonly #wanted: number;
  readonly #prefetch: number;
  readonly #publisher: Publisher;
  readonly #consumer: Consumer;
  /** Whether the original queues of dead letters exist; undefined while the broker is being asked. */
  readonly #exists = new Map<string, boolean | undefined>();
  /** The number of messages for each queue. */
  readonly #targets = new Map<string, number>();
  /** Messages that could not be published at once, in order. */
  #waiting: Moving[] = [];
  /** Messages that are published and not yet acknowledged, in order. */
  #published: Moving[] = [];
  #publishedCount = 0;
  /** How many of these are confirmed, counted from the first one. */
  #confirmedCount = 0;
  /** Messages of the current connection that stay unacknowledged in the queue, with the reasons. */
  #kept: { readonly receipt: Receipt; readonly reason: string }[] = [];
  /** The number of received messages that are not delivered again. */
  #taken = 0;
  #about: number;
  /** The number of acknowledged messages of the current connection. */
  #acknowledged = 0;
  #lastAt = performance.now();
  #over = false;
  #started = false;
  #failure: Error | undefined;

  constructor(
    session: Session,
    from: BrokerTarget & { readonly queue: string },
    to: Destination,
    options: MoveOptions,
  ) {
    this.#session = session;
    this.#from = from;
    this.#to = to;
    this.#options = options;
    this.#wanted = options.count ?? Infinity;
    this.#about = options.about ?? Infinity;
    this.#prefetch = Math.min(options.prefetch ?? 1000, this.#wanted, 65535);
    this.#publisher = new Publisher(to.brokers, {
      ...to.link,
      prepare: async (connection) => {
        if (to.queue !== undefined) await requireQueue(connection, to.queue, options.declare ?? false);
      },
    });
    this.#consumer = new Consumer(from.brokers, from.queue, {
      ...from.link,
      prefetch: this.#prefetch,
      prepare: async (connection) => {
        await requireQueue(connection, from.queue);
        this.#startAgain();
      },
      onDelivery: (delivery) => this.#take(delivery),
    });
  }

  async run(): Promise<void> {
    const publisher = this.#publisher;
    publisher.onSettled = () => {
      this.#acknowledge();
      this.#goOn();
    };
    this.#session.onStop(() => publisher.changed.fire());
    this.#session.explainWait(() => unsentWait(publisher.pending, LAST_MS));
    await startWithin(this.#to, this.#options.timeout, publisher.start());
    try {
      await startWithin(this.#from, this.#options.timeout, this.#consumer.start());
      this.#started = true;
      await this.#untilDone();
      this.#over = true;
      await this.#farewell((limit) => this.#consumer.cancel(limit));
      const end = performance.now() + LAST_MS;
      while (publisher.pending > 0 && publisher.failure === undefined && performance.now() < end) {
        await publisher.changed.wait(LOOK_MS);
      }
      this.#acknowledge();
      await this.#farewell((limit) => this.#consumer.close(limit));
    } finally {
      await this.#farewell((limit) => publisher.close(limit));
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Reports the moved messages, and those that stay with their reasons. */
  report(): void {
    if (!this.#started) return;
    const { counts, reporter } = this.#session;
    counts.received = this.#taken;
    report(this.#session, this.#publisher, this.#publishedCount);
    const { queue } = this.#from;
    if (this.moved === 0 && (this.#failure !== undefined || this.#kept.length > 0)) {
      // The line that follows is sufficient.
    } else if (this.#to.queue !== undefined) {
      reporter.info(`moved ${this.moved} from '${queue}' to '${this.#to.queue}'`);
    } else {
      const named = [...this.#targets].slice(0, NAMED).map(([name, count]) => `${count} to '${name}'`);
      if (this.#targets.size > NAMED) named.push(`others to ${this.#targets.size - NAMED} more queues`);
      reporter.info(
        `moved ${this.moved} from '${queue}'${named.length === 0 ? "" : `: ${named.join(", ")}`}`,
      );
    }
    if (this.#kept.length === 0) return;
    const reasons = new Map<string, number>();
    for (const { reason } of this.#kept) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    const words = [...reasons].map(([reason, count]) => `${count} ${reason}`).join(", ");
    const unread = this.#kept.length < this.#prefetch || this.#prefetch >= this.#wanted
      ? ""
      : ", and the messages after them were not read";
    reporter.error(
      `${messages(this.#kept.length)} stay in '${queue}': ${words}${unread} (--to QUEUE moves them there)`,
    );
    this.#session.exitCode = EXIT.undelivered;
  }

  async #untilDone(): Promise<void> {
    const publisher = this.#publisher;
    let asked = false;
    while (!this.#session.stopping && this.moved + this.#kept.length < this.#limit) {
      if (publisher.refused + publisher.returned > 0) return;
      this.#failure ??= this.#consumer.failure ?? publisher.failure;
      if (this.#failure !== undefined) return;
      const idle = this.#waiting.length === 0 && publisher.takenInOrder === this.#publishedCount;
      // Messages that stay use the prefetch window: when they fill it, nothing more can be moved.
      const drained = idle && (this.#kept.length >= this.#prefetch || await this.#isDrained());
      if (!asked && this.#taken === 0 && (drained || performance.now() - this.#lastAt >= SUSPICION_MS)) {
        asked = true;
        await refuseStream(this.#from, this.#from.queue, "move").catch((error) => this.#failure ??= error);
        continue;
      }
      if (drained) return;
      const { timeout } = this.#options;
      if (timeout !== undefined && performance.now() - this.#lastAt >= timeout) {
        this.#failure = new TimeoutError(`nothing moved for ${timeout / 1000} s (-w)`);
        return;
      }
      await publisher.changed.wait(LOOK_MS);
    }
  }

  #farewell(say: (limit?: number) => Promise<void>): Promise<void> {
    return farewell(this.#session, this.#failure, say);
  }

  /** Whether the queue is empty; false after a signal or a timeout. */
  async #isDrained(): Promise<boolean> {
    const { timeout = Infinity } = this.#options;
    const left = this.#lastAt + timeout - performance.now();
    return await this.#session.untilStopped(this.#consumer.isDrained(), left) ?? false;
  }

  get #limit(): number {
    return Math.min(this.#wanted, this.#about);
  }

  /** Unacknowledged messages of the previous connection are delivered again; acknowledged ones may be, too. */
  #startAgain(): void {
    this.#waiting = [];
    this.#kept = [];
    this.#taken = this.moved;
    this.#about += this.#acknowledged;
    this.#acknowledged = 0;
    this.#consumer.resume();
  }

  #take(delivery: Delivery): void {
    if (this.#over || this.#failure !== undefined || this.#taken >= this.#limit) return;
    const { deliveryTag, content } = delivery;
    // Cancel before an acknowledgement makes room for unwanted messages.
    if (++this.#taken >= this.#limit) this.#consumer.cancel();
    this.#lastAt = performance.now();
    const { properties, propertiesEnd, body, bodyStart, bodyEnd } = content;
    const receipt = { generation: this.#consumer.generation, tag: deliveryTag };
    const envelope = this.#to.address(properties.subarray(0, propertiesEnd));
    if (envelope === undefined) return this.#keep(receipt, "without an original queue in their headers");
    const moving = { bodies: { bytes: body, starts: [bodyStart], ends: [bodyEnd] }, envelope, receipt };
    if (this.#waiting.length === 0 && this.#publish(moving)) return;
    const bytes = body.slice(bodyStart, bodyEnd);
    this.#waiting.push({ ...moving, bodies: { bytes, starts: [0], ends: [bytes.length] } });
    this.#consumer.pause();
  }

  /** Publishes a message, or keeps it if its queue does not exist; returns false when the message has to wait. */
  #publish(moving: Moving): boolean {
    const queue = moving.envelope.routingKey;
    if (this.#to.queue === undefined) {
      if (!this.#exists.has(queue)) this.#look(queue);
      const exists = this.#exists.get(queue);
      if (exists === undefined) return false;
      if (!exists) {
        this.#keep(moving.receipt, `from '${queue}', which does not exist`);
        return true;
      }
    }
    try {
      if (this.#publisher.publish(moving.bodies, 0, 1, moving.envelope) !== 1) return false;
    } catch (error) {
      if (!(error instanceof LimitError || error instanceof RangeError)) throw error;
      this.#keep(moving.receipt, "whose headers are larger than a frame of the other broker");
      return true;
    }
    this.#published.push(moving);
    this.#publishedCount++;
    return true;
  }

  /** Publishes as many waiting messages as possible. */
  #goOn(): void {
    let next = 0;
    while (next < this.#waiting.length && this.#publish(this.#waiting[next]!)) next++;
    if (next === 0) return;
    this.#waiting = this.#waiting.slice(next);
    if (this.#waiting.length === 0) this.#consumer.resume();
    this.#publisher.changed.fire();
  }

  /** Asks on a separate connection whether a queue exists. */
  async #look(queue: string): Promise<void> {
    this.#exists.set(queue, undefined);
    try {
      const connection = await connectBroker(this.#to.brokers, this.#to.link);
      this.#exists.set(queue, await findQueue(connection, queue) !== undefined);
      await connection.close();
    } catch (error) {
      this.#failure ??= error as Error;
    }
    this.#goOn();
    this.#publisher.changed.fire();
  }

  #keep(receipt: Receipt, reason: string): void {
    if (receipt.generation === this.#consumer.generation) this.#kept.push({ receipt, reason });
    this.#publisher.changed.fire();
  }

  #acknowledge(): void {
    // A returned message is among the confirmed ones; the broker does not say which one it is.
    if (this.#publisher.returned > 0) return;
    // Acknowledgements make room for unwanted messages, unless all wanted ones have arrived.
    if (this.#wanted <= this.#prefetch && this.#taken < this.#wanted && !this.#over) return;
    const confirmed = this.#publisher.takenInOrder - this.#confirmedCount;
    const done = this.#published.slice(0, confirmed);
    this.#published = this.#published.slice(confirmed);
    this.#confirmedCount += confirmed;
    // Messages of a lost connection cannot be acknowledged any more.
    const live = done.filter(({ receipt }) => receipt.generation === this.#consumer.generation);
    for (const [at, { receipt, envelope: { routingKey } }] of live.entries()) {
      this.#targets.set(routingKey, (this.#targets.get(routingKey) ?? 0) + 1);
      // One multiple acknowledgement is enough, unless it would include messages that stay.
      if (this.#kept.length > 0) this.#consumer.ack(receipt, false);
      else if (at === live.length - 1) this.#consumer.ack(receipt, true);
    }
    this.#consumer.flush();
    this.#acknowledged += live.length;
    this.moved += live.length;
  }
}

/** Addresses each message to one queue, with its properties unchanged except for CC and BCC. */
export function toQueue(queue: string): Destination["address"] {
  return (properties) => ({ exchange: "", routingKey: queue, properties: withoutCopies(properties) });
}

/**
 * The properties without `CC` and `BCC`: these were for the original exchange, and would now send copies to other
 * queues.
 */
function withoutCopies(properties: Uint8Array): Uint8Array {
  const decoded = hasCopies(properties) ? decodeProperties(properties) : undefined;
  const { CC: cc, BCC: bcc, ...headers } = decoded?.headers ?? {};
  return cc === undefined && bcc === undefined
    ? properties.slice()
    : encodeProperties({ ...decoded, headers });
}

/** Whether the letters CC are anywhere in the bytes, which avoids decoding nearly all properties. */
function hasCopies(properties: Uint8Array): boolean {
  const C = 0x43;
  for (let at = properties.indexOf(C); at >= 0; at = properties.indexOf(C, at + 1)) {
    if (properties[at + 1] === C) return true;
  }
  return false;
}
