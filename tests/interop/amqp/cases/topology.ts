/** Random walks through declarations of existing and missing queues and exchanges. */
import process from "node:process";
import type { FieldTable } from "../../../../lib/amqp/types/field_value.ts";
import { type Case, cases, type Script, type Session } from "../case.ts";
import { Dice } from "../dice.ts";
import type { PeerChannel } from "../peer.ts";

/** The number of walks (MQCAT_WALKS overrides it) and of steps in each walk. */
const WALKS = Number(process.env["MQCAT_WALKS"] ?? 8);
const STEPS = 60;

/** Names for which the limited user of definitions.ts has some permissions. */
const NAMES = ["own", "in", "out"];
const TYPES = ["direct", "fanout", "topic", "headers"];
const KEYS = ["", "k", "k.l"];

/** One walk. */
class Walk {
  readonly #on: Session;
  readonly #dice: Dice;
  /** The channels, each on its own connection. */
  readonly #channels: PeerChannel[] = [];

  constructor(on: Session, seed: number) {
    this.#on = on;
    this.#dice = new Dice(seed);
  }

  async run(): Promise<void> {
    for (let at = 0; at < 2; at++) this.#channels.push(await this.#login(at));
    for (let step = 0; step < STEPS; step++) {
      const at = this.#dice.chance(70) ? 0 : 1;
      let channel = this.#channels[at]!;
      if (channel.peer.parted) channel = this.#channels[at] = await this.#login(at);
      if (!channel.open) await channel.call("channel.open", {}, true);
      // The transcript has the refusal.
      await this.#step(channel).catch(() => {});
      for (const one of channel.peer.received) one.taken = true;
    }
  }

  async #login(at: number): Promise<PeerChannel> {
    return await this.#on.channel(at === 0 ? {} : { user: "limited", password: "limited" });
  }

  #name(): string {
    return this.#on.name(this.#dice.of(NAMES));
  }

  async #step(channel: PeerChannel): Promise<void> {
    const dice = this.#dice;
    const roll = dice.below(100);
    if (roll < 18) await this.#exchange(channel);
    else if (roll < 36) await this.#queue(channel);
    else if (roll < 52) await this.#bind(channel);
    else if (roll < 58) {
      await channel.call("exchange.delete", { exchange: this.#name(), ifUnused: dice.chance(50) });
    } else if (roll < 66) {
      await channel.call("queue.delete", {
        queue: this.#name(),
        ifUnused: dice.chance(30),
        ifEmpty: dice.chance(30),
      });
    } else if (roll < 72) await channel.call("queue.purge", { queue: this.#name() });
    else if (roll < 78) await channel.get(this.#name());
    else if (roll < 86) await this.#publish(channel);
    else if (roll < 92) await this.#consume(channel);
    else await channel.call("basic.cancel", { consumerTag: dice.of(NAMES) });
  }

  async #exchange(channel: PeerChannel): Promise<void> {
    const dice = this.#dice;
    await channel.call("exchange.declare", {
      exchange: this.#name(),
      type: dice.of(TYPES),
      passive: dice.chance(20),
      durable: dice.chance(20),
      autoDelete: dice.chance(40),
      internal: dice.chance(10),
      arguments: dice.chance(20) ? { "alternate-exchange": this.#name() } : {},
    });
  }

  async #queue(channel: PeerChannel): Promise<void> {
    const dice = this.#dice;
    const args: FieldTable = {};
    if (dice.chance(15)) args["x-max-length"] = dice.below(2);
    if (dice.chance(10)) args["x-dead-letter-exchange"] = this.#name();
    await channel.call("queue.declare", {
      queue: this.#name(),
      passive: dice.chance(20),
      durable: dice.chance(20),
      exclusive: dice.chance(15),
      autoDelete: dice.chance(30),
      arguments: args,
    });
  }

  async #bind(channel: PeerChannel): Promise<void> {
    const dice = this.#dice;
    const routingKey = dice.of(KEYS);
    const args = dice.chance(20) ? { "x-match": "any", h: 1 } : {};
    if (dice.chance(60)) {
      const both = { queue: this.#name(), exchange: this.#name(), routingKey, arguments: args };
      if (dice.chance(70)) await channel.call("queue.bind", both);
      else await channel.call("queue.unbind", both);
    } else {
      const both = { source: this.#name(), destination: this.#name(), routingKey, arguments: args };
      if (dice.chance(70)) await channel.call("exchange.bind", both);
      else await channel.call("exchange.unbind", both);
    }
  }

  /** Sends a method, then one with a reply that comes after all results of the first. */
  async #publish(channel: PeerChannel): Promise<void> {
    const dice = this.#dice;
    const exchange = dice.chance(50) ? "" : this.#name();
    const key = exchange === "" ? this.#name() : dice.of(KEYS);
    await channel.call("confirm.select", {}, true);
    await channel.put(exchange, key, "body", dice.chance(30) ? { headers: { h: 1 } } : {}, true);
  }

  async #consume(channel: PeerChannel): Promise<void> {
    const dice = this.#dice;
    const flags = { consumerTag: dice.of(NAMES), noAck: true, exclusive: dice.chance(20) };
    const queue = this.#name();
    await channel.consume(queue, flags);
    await channel.barrier(queue);
  }
}

const scripts: Record<string, Script> = {};
for (let seed = 1; seed <= WALKS; seed++) {
  scripts[`walk ${seed}`] = async (on) => await new Walk(on, seed).run();
}

export const topology: readonly Case[] = cases("topology", scripts);
