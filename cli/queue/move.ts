import type { Delivery } from "../../lib/amqp/client/channel.ts";
import { Consumer, type Receipt } from "../../lib/amqp/client/consumer.ts";
import { connectBroker } from "../../lib/amqp/client/link.ts";
import { type Bodies, type Envelope, Publisher } from "../../lib/amqp/client/publisher.ts";
import { ensureQueue, findQueue } from "../../lib/amqp/client/queues.ts";
import { decodeProperties, encodeProperties } from "../../lib/amqp/properties.ts";
import { LimitError } from "../../lib/errors.ts";
import { EXIT, TimeoutError } from "../app/errors.ts";
import { Progress } from "../app/progress.ts";
import type { Session } from "../app/session.ts";
import { messages } from "../app/tally.ts";
import { report } from "./put.ts";
import { refuseStream, SUSPICION_MS } from "./streams.ts";
import type { Target } from "./target.ts";

/** How often an empty queue is looked at, in milliseconds. */
const LOOK_MS = 50;
/** How long the broker may take for the last confirms, in milliseconds. */
const LAST_MS = 30_000;
/** How many queues are named at the end. */
const NAMED = 5;

/** What the options of `queue move` and `queue redrive` say. */
export interface MoveOptions {
  readonly count: number | undefined;
  readonly timeout: number | undefined;
  readonly prefetch: number | undefined;
  /** Stops at about so many, whatever comes after them: exactly, as long as no connection is lost. */
  readonly about?: number;
}

/** Where messages go. */
export interface Destination extends Target {
  /** The queue for all of them, which is declared if it is missing; undefined: `address` tells for each. */
  readonly queue: string | undefined;
  /** The envelope for a message with these properties, which are valid during the call; undefined: it has to stay. */
  address(properties: Uint8Array): Envelope | undefined;
}

/** A message that was taken, and what is to be published for it. */
interface Moving {
  readonly bodies: Bodies;
  readonly envelope: Envelope;
  readonly receipt: Receipt;
}

/** Moves messages until the queue is empty: each is acknowledged only when its copy is confirmed. */
export async function moveAll(
  session: Session,
  from: Target & { readonly queue: string },
  to: Destination,
  options: MoveOptions,
): Promise<void> {
  const move = new Move(session, from, to, options);
  const progress = new Progress(session, () => move.moved, "moved");
  try {
    await move.run();
  } finally {
    progress.end();
    move.tell();
  }
}

class Move {
  /** Messages that are where they belong, and out of the queue. */
  moved = 0;

  readonly #session: Session;
  readonly #from: Target & { readonly queue: string };
  readonly #to: Destination;
  readonly #options: MoveOptions;
  readonly #wanted: number;
  readonly #prefetch: number;
  readonly #publisher: Publisher;
  readonly #consumer: Consumer;
  /** Whether the queues that dead letters came from are there; undefined while that is being asked. */
  readonly #there = new Map<string, boolean | undefined>();
  /** How many went to which queue. */
  readonly #targets = new Map<string, number>();
  /** What could not be published at once, in its order. */
  #waiting: Moving[] = [];
  /** What was published and is not acknowledged, in that order. */
  #published: Moving[] = [];
  #publishedCount = 0;
  /** How many of those were confirmed, from the first one on. */
  #confirmedCount = 0;
  /** What stays where it is, unacknowledged, and why; only what came on the connection of now. */
  #kept: { readonly receipt: Receipt; readonly reason: string }[] = [];
  /** Messages that came, as far as they do not come again. */
  #taken = 0;
  #about: number;
  /** How many were acknowledged on the connection of now. */
  #acknowledged = 0;
  #lastAt = performance.now();
  #over = false;
  #started = false;
  #failure: Error | undefined;

  constructor(
    session: Session,
    from: Target & { readonly queue: string },
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
        if (to.queue !== undefined) await ensureQueue(connection, to.queue);
      },
    });
    this.#consumer = new Consumer(from.brokers, from.queue, {
      ...from.link,
      prefetch: this.#prefetch,
      prepare: async (connection) => {
        if (await findQueue(connection, from.queue) === undefined) {
          throw new Error(`there is no queue '${from.queue}' to move from`);
        }
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
    await publisher.start();
    try {
      await this.#consumer.start();
      this.#started = true;
      await this.#untilDone();
      this.#over = true;
      await this.#consumer.cancel();
      const end = performance.now() + LAST_MS;
      while (publisher.pending > 0 && publisher.failure === undefined && performance.now() < end) {
        await publisher.changed.wait(LOOK_MS);
      }
      this.#acknowledge();
      await this.#consumer.close();
    } finally {
      await publisher.close();
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Says what was moved, and what was not and why. */
  tell(): void {
    if (!this.#started) return;
    const { counts, reporter } = this.#session;
    counts.received = this.#taken;
    report(this.#session, this.#publisher, this.#publishedCount);
    const { queue } = this.#from;
    if (this.moved === 0 && (this.#failure !== undefined || this.#kept.length > 0)) {
      // The one line that follows says enough.
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
    const behind = this.#kept.length < this.#prefetch || this.#prefetch >= this.#wanted
      ? ""
      : ", and those behind them were not looked at";
    reporter.error(
      `${messages(this.#kept.length)} stay in '${queue}': ${words}${behind} (--to says where to)`,
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
      // What stays takes the place of others: when it is all that the broker gives us, there is no going on.
      const drained = idle && (this.#kept.length >= this.#prefetch || await this.#consumer.isDrained());
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

  get #limit(): number {
    return Math.min(this.#wanted, this.#about);
  }

  /** What was not acknowledged on the connection before comes again; and what was may, too. */
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
    // Cancelled before any acknowledgement makes room for messages that are not wanted.
    if (++this.#taken >= this.#limit) this.#consumer.cancel();
    this.#lastAt = performance.now();
    const { properties, propertiesEnd, body, bodyStart, bodyEnd } = content;
    const receipt = { generation: this.#consumer.generation, tag: deliveryTag };
    const envelope = this.#to.address(properties.subarray(0, propertiesEnd));
    if (envelope === undefined) return this.#keep(receipt, "that do not say where they came from");
    const moving = { bodies: { bytes: body, starts: [bodyStart], ends: [bodyEnd] }, envelope, receipt };
    if (this.#waiting.length === 0 && this.#publish(moving)) return;
    const bytes = body.slice(bodyStart, bodyEnd);
    this.#waiting.push({ ...moving, bodies: { bytes, starts: [0], ends: [bytes.length] } });
    this.#consumer.pause();
  }

  /** Publishes it, or keeps it where its queue is not there; false when it has to wait. */
  #publish(moving: Moving): boolean {
    const queue = moving.envelope.routingKey;
    if (this.#to.queue === undefined) {
      if (!this.#there.has(queue)) this.#look(queue);
      const there = this.#there.get(queue);
      if (there === undefined) return false;
      if (!there) {
        this.#keep(moving.receipt, `from '${queue}', which is not there`);
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

  /** Publishes what waits, as far as that is possible now. */
  #goOn(): void {
    let next = 0;
    while (next < this.#waiting.length && this.#publish(this.#waiting[next]!)) next++;
    if (next === 0) return;
    this.#waiting = this.#waiting.slice(next);
    if (this.#waiting.length === 0) this.#consumer.resume();
    this.#publisher.changed.fire();
  }

  /** Asks whether a queue is there, on a connection of its own. */
  async #look(queue: string): Promise<void> {
    this.#there.set(queue, undefined);
    try {
      const connection = await connectBroker(this.#to.brokers, this.#to.link);
      this.#there.set(queue, await findQueue(connection, queue) !== undefined);
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
    // A message that came back is among the confirmed ones; which one it is nobody tells.
    if (this.#publisher.returned > 0) return;
    // Acknowledgements make room for messages that are not wanted, unless all wanted ones are here.
    if (this.#wanted <= this.#prefetch && this.#taken < this.#wanted && !this.#over) return;
    const confirmed = this.#publisher.takenInOrder - this.#confirmedCount;
    const done = this.#published.slice(0, confirmed);
    this.#published = this.#published.slice(confirmed);
    this.#confirmedCount += confirmed;
    // Of a lost connection nothing can be acknowledged any more.
    const live = done.filter(({ receipt }) => receipt.generation === this.#consumer.generation);
    for (const [at, { receipt, envelope: { routingKey } }] of live.entries()) {
      this.#targets.set(routingKey, (this.#targets.get(routingKey) ?? 0) + 1);
      // One acknowledgement serves all, unless it would take those along that stay.
      if (this.#kept.length > 0) this.#consumer.ack(receipt, false);
      else if (at === live.length - 1) this.#consumer.ack(receipt, true);
    }
    this.#consumer.flush();
    this.#acknowledged += live.length;
    this.moved += live.length;
  }
}

/** The address of one queue, for messages that stay as they are. */
export function toQueue(queue: string): Destination["address"] {
  return (properties) => ({ exchange: "", routingKey: queue, properties: withoutCopies(properties) });
}

/**
 * The properties without `CC` and `BCC`: they were for the exchange where the message was published first, and would
 * have copies go to other queues now.
 */
function withoutCopies(properties: Uint8Array): Uint8Array {
  const decoded = hasCopies(properties) ? decodeProperties(properties) : undefined;
  const { CC: cc, BCC: bcc, ...headers } = decoded?.headers ?? {};
  return cc === undefined && bcc === undefined
    ? properties.slice()
    : encodeProperties({ ...decoded, headers });
}

/** Whether the letters CC are anywhere: a look at the bytes, which saves decoding nearly all of them. */
function hasCopies(properties: Uint8Array): boolean {
  const C = 0x43;
  for (let at = properties.indexOf(C); at >= 0; at = properties.indexOf(C, at + 1)) {
    if (properties[at + 1] === C) return true;
  }
  return false;
}
