/**
 * A publisher and a consumer that record over many runs of a broker which messages were confirmed, which were
 * delivered, and which acknowledgements are safe. Every attempt to publish has its own id, so that a message that is
 * sent again is not mistaken for one that was delivered twice.
 */
import { Buffer } from "node:buffer";
import type { Channel } from "../../lib/amqp/client/channel.ts";
import type { AmqpConnection } from "../../lib/amqp/client/connection.ts";
import { connectBroker } from "../../lib/amqp/client/link.ts";
import { parseAmqpUrl } from "../../lib/amqp/client/url.ts";
import { encodeProperties } from "../../lib/amqp/properties.ts";
import { ClosedError, UnreachableError } from "../../lib/errors.ts";
import { deadline, waitFor } from "../support/helpers.ts";
import { PATIENCE } from "../support/mqcat.ts";

const QUEUE = "ledger";
/** The limits of unconfirmed and of unacknowledged messages. */
const WINDOW = 200;
const PERSISTENT = encodeProperties({ deliveryMode: 2 });

/** Acknowledgements that the broker has read; they are safe when it confirms a message that was sent after them. */
interface Acknowledged {
  readonly ids: readonly string[];
  /** The number of messages that were published in this run. */
  readonly published: number;
}

export class Ledger {
  /** Descriptions of all errors. */
  readonly violations: string[] = [];
  /** Ids by their state. */
  readonly confirmed: Set<string> = new Set();
  readonly delivered: Set<string> = new Set();
  readonly safelyAcknowledged: Set<string> = new Set();
  /** The numbers that must be published again. */
  #again: number[] = [];
  #attempts = new Map<number, number>();
  #next = 1;
  #events = 0;
  #goal = Infinity;
  #onGoal = () => {};
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** The number of messages, each with one or more attempts. */
  get messages(): number {
    return this.#next - 1;
  }

  /** Resolves when this number of further messages were confirmed or delivered. */
  after(events: number): Promise<void> {
    this.#goal = this.#events + events;
    return new Promise((resolve) => this.#onGoal = resolve);
  }

  /** Publishes and consumes until the broker is killed. */
  async live(url: string): Promise<void> {
    let life: Life | undefined;
    try {
      life = await Life.begin(url);
      await Promise.all([this.#publish(life, Infinity), this.#consume(life)]);
    } catch (error) {
      // The broker may also be killed during the login; any other error is a failure.
      if (!(error instanceof UnreachableError) && !(error instanceof ClosedError)) throw error;
    }
    this.#again.push(...life?.unconfirmed().map(numberOf) ?? []);
  }

  /** Publishes the remaining messages until all are confirmed, and consumes until the queue is empty. */
  async finish(url: string): Promise<void> {
    const life = await Life.begin(url);
    const consuming = this.#consume(life);
    await this.#publish(life, 0);
    await waitFor(() => life.unconfirmed().length === 0, PATIENCE, "the last confirms");
    let empty = 0;
    await waitFor(
      async () => {
        const { messageCount } = await life.channel.call(
          "queue.declare",
          { queue: QUEUE, passive: true },
          "queue.declare-ok",
        );
        life.wake();
        empty = messageCount === 0 && life.unacknowledged.length === 0 ? empty + 1 : 0;
        return empty >= 3;
      },
      PATIENCE,
      "an empty queue",
    );
    await life.connection.close();
    await consuming;
  }

  /** Adds the errors that are known only at the end: confirmed messages that were never delivered. */
  close(): void {
    for (const id of this.confirmed) {
      if (!this.delivered.has(id)) this.violations.push(`${id} was confirmed, and is lost`);
    }
  }

  #count(events: number): void {
    this.#events += events;
    if (this.#events >= this.#goal) this.#onGoal();
  }

  /** Keeps the window full; resolves when the run has ended, or when `fresh` new messages were sent. */
  async #publish(life: Life, fresh: number): Promise<void> {
    const { channel, connection } = life;
    life.onConfirmed = (ids) => {
      for (const id of ids) this.confirmed.add(id);
      this.#count(ids.length);
      while (life.read.length > 0 && life.confirmedUpTo > life.read[0]!.published) {
        for (const id of life.read.shift()!.ids) this.safelyAcknowledged.add(id);
      }
    };
    while (!channel.over && (fresh > 0 || this.#again.length > 0)) {
      while (life.unconfirmed().length < WINDOW && (fresh > 0 || this.#again.length > 0)) {
        const number = this.#again.shift() ?? this.#next++;
        if (number === this.#next - 1 && !this.#attempts.has(number)) fresh--;
        const attempt = (this.#attempts.get(number) ?? 0) + 1;
        this.#attempts.set(number, attempt);
        const id = `${number}.${attempt}`;
        life.ids.push(id);
        const body = Buffer.from(`${id} `.padEnd(20 + Math.floor(this.#random() * 2000), "x"));
        connection.encoder.publish(channel.id, "", QUEUE, false, PERSISTENT, body, 0, body.length);
      }
      connection.flush();
      await life.changed();
    }
  }

  async #consume(life: Life): Promise<void> {
    const { channel, connection } = life;
    life.onDelivery = (id, redelivered) => {
      this.delivered.add(id);
      this.#count(1);
      if (!this.safelyAcknowledged.has(id)) return;
      this.violations.push(`${id} came again (redelivered: ${redelivered}), and was acknowledged`);
    };
    await life.consume();
    while (!channel.over) {
      await life.changed();
      // Acknowledges sometimes all deliveries, sometimes fewer, and sometimes later.
      const count = Math.floor(life.unacknowledged.length * Math.min(1, this.#random() * 1.5));
      if (count === 0 || channel.over) continue;
      const taken = life.unacknowledged.splice(0, count);
      channel.ack(taken.at(-1)!.tag, true);
      connection.flush();
      try {
        await channel.call("queue.declare", { queue: QUEUE, passive: true }, "queue.declare-ok");
      } catch {
        return;
      }
      life.read.push({ ids: taken.map(({ id }) => id), published: life.ids.length });
    }
  }
}

/** One connection to one run of the broker. */
class Life {
  readonly connection: AmqpConnection;
  channel!: Channel;
  /** Ids in the order of publishing; the delivery tag of a confirm is 1 for the first one. */
  readonly ids: string[] = [];
  readonly unacknowledged: { id: string; tag: number }[] = [];
  readonly read: Acknowledged[] = [];
  confirmedUpTo = 0;
  onConfirmed: (ids: readonly string[]) => void = () => {};
  onDelivery: (id: string, redelivered: boolean) => void = () => {};
  readonly #settled = new Set<number>();
  #waiting: (() => void)[] = [];

  private constructor(connection: AmqpConnection) {
    this.connection = connection;
    connection.closed.then(() => this.wake());
  }

  static async begin(url: string): Promise<Life> {
    const life = new Life(await connectBroker(parseAmqpUrl(url)));
    life.channel = await life.connection.open({
      onConfirm: (tag, multiple, taken) => life.#onConfirm(tag, multiple, taken),
      onDelivery: ({ deliveryTag, redelivered, content: { body, bodyStart } }) => {
        const text = Buffer.from(body.buffer, body.byteOffset + bodyStart, 24).toString("latin1");
        const id = text.slice(0, text.indexOf(" "));
        life.unacknowledged.push({ id, tag: deliveryTag });
        life.onDelivery(id, redelivered);
      },
      onBatchEnd: () => life.wake(),
    });
    await life.channel.call("confirm.select", {}, "confirm.select-ok");
    await life.channel.call("basic.qos", { prefetchCount: WINDOW }, "basic.qos-ok");
    await life.channel.call("queue.declare", { queue: QUEUE, durable: true }, "queue.declare-ok");
    return life;
  }

  async consume(): Promise<void> {
    await this.channel.call("basic.consume", { queue: QUEUE }, "basic.consume-ok");
  }

  /** The messages of this run that are not confirmed. */
  unconfirmed(): string[] {
    const left: string[] = [];
    for (let tag = this.confirmedUpTo + 1; tag <= this.ids.length; tag++) {
      if (!this.#settled.has(tag)) left.push(this.ids[tag - 1]!);
    }
    return left;
  }

  /** Waits until something arrives, or the run has ended. */
  changed(): Promise<void> {
    if (this.channel.over) return Promise.resolve();
    return deadline(
      new Promise((resolve) => this.#waiting.push(resolve)),
      PATIENCE,
      "a frame of the broker",
    );
  }

  #onConfirm(tag: number, multiple: boolean, taken: boolean): void {
    if (!taken) throw new Error(`message ${tag} was refused`);
    const ids: string[] = [];
    for (let at = multiple ? this.confirmedUpTo + 1 : tag; at <= tag; at++) {
      if (this.#settled.has(at) || at <= this.confirmedUpTo) continue;
      this.#settled.add(at);
      ids.push(this.ids[at - 1]!);
    }
    while (this.#settled.delete(this.confirmedUpTo + 1)) this.confirmedUpTo++;
    this.onConfirmed(ids);
  }

  /** Makes all waiters check their conditions again. */
  wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

function numberOf(id: string): number {
  return Number(id.slice(0, id.indexOf(".")));
}

/** A generator of numbers from 0 to 1, which are the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
