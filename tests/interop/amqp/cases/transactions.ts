/** Random walks through transactions. */
import process from "node:process";
import { type Case, cases, type Script, type Session } from "../case.ts";
import { Dice } from "../dice.ts";
import type { PeerChannel } from "../peer.ts";

/** The number of walks (MQCAT_WALKS overrides it) and of steps in each walk. */
const WALKS = Number(process.env["MQCAT_WALKS"] ?? 8) / 2;
const STEPS = 50;

const QUEUES = ["p", "q"];

/** One walk: a transactional channel, and one that observes. */
class Walk {
  readonly #on: Session;
  readonly #dice: Dice;
  #channel!: PeerChannel;
  #witness!: PeerChannel;
  /** The deliveries that can be settled, and those that the next commit settles. */
  #tags: number[] = [];
  #settled: number[] = [];
  #message = 0;

  constructor(on: Session, seed: number) {
    this.#on = on;
    this.#dice = new Dice(seed);
  }

  async run(): Promise<void> {
    const dice = this.#dice;
    this.#channel = await this.#on.channel();
    this.#witness = await this.#on.channel();
    await this.#witness.queue(this.#on.name("dead"));
    for (const queue of QUEUES) {
      const args = {
        ...(dice.chance(50)
          ? { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": this.#on.name("dead") }
          : {}),
        ...(dice.chance(30) ? { "x-max-length": 3 } : {}),
      };
      await this.#witness.queue(this.#on.name(queue), args, { durable: dice.chance(50) });
    }
    await this.#channel.call("tx.select");
    for (let step = 0; step < STEPS; step++) await this.#step();
    await this.#channel.close();
    for (const queue of [...QUEUES, "dead"]) await this.#witness.drain(this.#on.name(queue));
  }

  async #step(): Promise<void> {
    const dice = this.#dice;
    const channel = this.#channel;
    const roll = dice.below(100);
    const queue = this.#on.name(dice.of(QUEUES));
    if (roll < 35) {
      const key = dice.chance(90) ? queue : this.#on.name("missing");
      channel.publish(
        "",
        key,
        `${this.#message++}`,
        { deliveryMode: dice.chance(50) ? 2 : 1 },
        dice.chance(30),
      );
    } else if (roll < 60) {
      const one = await channel.get(queue, false);
      if (one !== undefined) this.#tags.push(one.deliveryTag);
    } else if (roll < 80) this.#settle();
    else if (roll < 92) {
      await channel.call("tx.commit");
      this.#settled = [];
      await this.#quiet();
    } else if (roll < 97) {
      await channel.call("tx.rollback");
      this.#tags = [...this.#tags, ...this.#settled].sort((a, b) => a - b);
      this.#settled = [];
      await this.#quiet();
    } else {
      await channel.close();
      await channel.call("channel.open", {}, true);
      await channel.call("tx.select");
      this.#tags = this.#settled = [];
      await this.#quiet();
    }
  }

  #settle(): void {
    if (this.#tags.length === 0) return;
    const dice = this.#dice;
    const tag = dice.of(this.#tags);
    const multiple = dice.chance(25);
    const gone = this.#tags.filter((other) => other === tag || multiple && other < tag);
    this.#tags = this.#tags.filter((other) => !gone.includes(other));
    this.#settled.push(...gone);
    if (dice.chance(50)) this.#channel.ack(tag, multiple);
    else this.#channel.nack(tag, { multiple, requeue: dice.chance(50) });
  }

  /** Waits until the queues are stable, and notes their message counts. */
  async #quiet(): Promise<void> {
    for (const queue of [...QUEUES, "dead"]) await this.#witness.count(this.#on.name(queue));
  }
}

const scripts: Record<string, Script> = {};
for (let seed = 1; seed <= WALKS; seed++) {
  scripts[`walk ${seed}`] = async (on) => await new Walk(on, seed).run();
}

export const transactions: readonly Case[] = cases("transactions", scripts);
