/**
 * A publisher and a consumer that keep books over many lives of a broker: what was confirmed, what was delivered, and
 * whose acknowledgement is safe. Every attempt to publish has an id of its own, so that a message that is sent again is
 * not taken for one that was delivered twice.
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
/** Messages without a confirm, and without an acknowledgement. */
const WINDOW = 200;
const PERSISTENT = encodeProperties({ deliveryMode: 2 });

/** Acknowledgements that the broker has read; they are safe when it confirms something that was sent after that. */
interface Acknowledged {
  readonly ids: readonly string[];
  /** How many messages had been published in this life. */
  readonly published: number;
}

export class Ledger {
  /** What is wrong, in words. */
  readonly violations: string[] = [];
  /** Ids by what became of them. */
  readonly confirmed: Set<string> = new Set();
  readonly delivered: Set<string> = new Set();
  readonly safelyAcknowledged: Set<string> = new Set();
  /** Numbers that are to be published again. */
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

  /** How many messages there were, each with one attempt or more. */
  get messages(): number {
    return this.#next - 1;
  }

  /** Resolves when so many more messages were confirmed or delivered. */
  after(events: number): Promise<void> {
    this.#goal = this.#events + events;
    return new Promise((resolve) => this.#onGoal = resolve);
  }

  /** Publishes and consumes until the broker dies. */
  async live(url: string): Promise<void> {
    let life: Life | undefined;
    try {
      life = await Life.begin(url);
      await Promise.all([this.#publish(life, Infinity), this.#consume(life)]);
    } catch (error) {
      // It may die during the login, too; whatever else is wrong is no part of that.
      if (!(error instanceof UnreachableError) && !(error instanceof ClosedError)) throw error;
    }
    this.#again.push(...life?.unconfirmed().map(numberOf) ?? []);
  }

  /** Publishes what is left until all is confirmed, and consumes until the queue is empty. */
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

  /** Adds what only the whole story tells: a confirmed message that never came. */
  close(): void {
    for (const id of this.confirmed) {
      if (!this.delivered.has(id)) this.violations.push(`${id} was confirmed, and is lost`);
    }
  }

  #count(events: number): void {
    this.#events += events;
    if (this.#events >= this.#goal) this.#onGoal();
  }

  /** Keeps the window full; resolves when the life is over, or when no more than `fresh` new messages were sent. */
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
      // Sometimes all that came, sometimes less, and sometimes not yet.
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

/** One connection to one life of the broker. */
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

  /** What was published in this life and is not confirmed. */
  unconfirmed(): string[] {
    const left: string[] = [];
    for (let tag = this.confirmedUpTo + 1; tag <= this.ids.length; tag++) {
      if (!this.#settled.has(tag)) left.push(this.ids[tag - 1]!);
    }
    return left;
  }

  /** Waits until something came, or the life is over. */
  changed(): Promise<void> {
    if (this.channel.over) return Promise.resolve();
    return deadline(
      new Promise((resolve) => this.#waiting.push(resolve)),
      PATIENCE,
      "the broker to say something",
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

  /** Has those who wait look again. */
  wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

function numberOf(id: string): number {
  return Number(id.slice(0, id.indexOf(".")));
}

/** A generator of numbers from 0 to 1 that gives the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
