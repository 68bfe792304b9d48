/** Random walks through the operations of clients, to find cases that no script covers. */
import process from "node:process";
import type { BasicProperties } from "../../../../lib/amqp/properties.ts";
import type { FieldTable } from "../../../../lib/amqp/types/field_value.ts";
import { type Case, cases, type Script, type Session } from "../case.ts";
import { Dice } from "../dice.ts";
import type { PeerChannel } from "../peer.ts";

/** The number of walks (MQCAT_WALKS overrides it) and of steps in each walk. */
const WALKS = Number(process.env["MQCAT_WALKS"] ?? 8);
const STEPS = 40;

const QUEUES = ["p", "q", "r"];
const EXCHANGES = ["direct", "fanout", "topic", "headers"];
const KEYS = ["a", "b", "a.b", "a.b.c", ""];
const PATTERNS = ["a", "b", "#", "*", "a.*", "a.#", "#.c", ""];

/** One queue and its consumers. */
interface Side {
  readonly queue: string;
  readonly channel: PeerChannel;
  /** The deliveries that can be settled, and the consumers that can be cancelled. */
  tags: number[];
  consumers: string[];
  /** The number of received methods that were processed. */
  seen: number;
}

/** One walk. */
class Walk {
  readonly #on: Session;
  readonly #dice: Dice;
  #publisher!: PeerChannel;
  /** A channel for each queue, because the order of deliveries from two queues is not defined. */
  readonly #sides: Side[] = [];
  /** The only queue with dead letters: the order of dead letters from two queues is not defined. */
  readonly #mortal: string;
  /**
   * Queues with a maximum length. RabbitMQ requeues messages consumer by consumer and serves other consumers in
   * between, so the dropped messages depend on the consumers.
   */
  readonly #bounded = new Set<string>();
  /** Consumers without acknowledgement. */
  readonly #free = new Set<string>();
  #message = 0;
  /** Whether the prefetch is that of the channel. All consumers acknowledge then, and get is not used; see qos.ts. */
  readonly #global: boolean;

  constructor(on: Session, seed: number) {
    this.#on = on;
    this.#dice = new Dice(seed);
    this.#global = this.#dice.chance(30);
    this.#mortal = this.#dice.of(QUEUES);
  }

  async run(): Promise<void> {
    this.#publisher = await this.#on.channel();
    const peer = await this.#on.connect();
    for (const queue of QUEUES) {
      const channel = await peer.channel();
      this.#sides.push({ queue: this.#name(queue), channel, tags: [], consumers: [], seen: 0 });
    }
    await this.#publisher.call("confirm.select", {}, true);
    for (const queue of QUEUES) await this.#declare(queue);
    for (const type of EXCHANGES) {
      const alternate = this.#dice.chance(30)
        ? { "alternate-exchange": this.#name(this.#dice.of(EXCHANGES)) }
        : {};
      await this.#publisher.exchange(this.#name(type), type, alternate);
    }
    for (let count = 0; count < 6; count++) await this.#bind();
    for (let step = 0; step < STEPS; step++) await this.#step();
  }

  #name(name: string): string {
    return this.#on.name(name);
  }

  async #declare(queue: string): Promise<void> {
    const dice = this.#dice;
    const args: FieldTable = {};
    if (queue === this.#mortal) {
      args["x-dead-letter-exchange"] = dice.chance(50) ? "" : this.#name(dice.of(EXCHANGES));
      if (dice.chance(60)) args["x-dead-letter-routing-key"] = this.#name(dice.of(QUEUES));
    }
    if (dice.chance(40)) args["x-max-length"] = dice.below(5);
    if (dice.chance(30)) args["x-overflow"] = dice.of(["drop-head", "reject-publish", "reject-publish-dlx"]);
    if (dice.chance(30)) args["x-max-priority"] = 3;
    if (dice.chance(20)) args["x-single-active-consumer"] = true;
    // The message expires at once if no consumer waits for it.
    if (dice.chance(10)) args["x-message-ttl"] = 0;
    if (dice.chance(15)) args["x-max-length-bytes"] = 4 + dice.below(8);
    if ("x-max-length" in args || "x-max-length-bytes" in args) this.#bounded.add(this.#name(queue));
    await this.#publisher.queue(this.#name(queue), args, { durable: dice.chance(50) });
  }

  async #bind(): Promise<void> {
    const dice = this.#dice;
    const type = dice.of(EXCHANGES);
    const exchange = this.#name(type);
    const args = type === "headers"
      ? { "x-match": dice.of(["all", "any"]), h: dice.below(2), ...(dice.chance(50) ? { i: "x" } : {}) }
      : {};
    const routingKey = dice.of(PATTERNS);
    if (dice.chance(75)) {
      const queue = this.#name(dice.of(QUEUES));
      if (dice.chance(80)) await this.#publisher.bind(queue, exchange, routingKey, args);
      else await this.#publisher.call("queue.unbind", { queue, exchange, routingKey, arguments: args });
    } else {
      const destination = this.#name(dice.of(EXCHANGES));
      const both = { source: exchange, destination, routingKey, arguments: args };
      if (dice.chance(80)) await this.#publisher.call("exchange.bind", both);
      else await this.#publisher.call("exchange.unbind", both);
    }
  }

  async #step(): Promise<void> {
    const dice = this.#dice;
    const roll = dice.below(100);
    const side = dice.of(this.#sides);
    const { channel, queue } = side;
    if (roll < 40) await this.#publish();
    else if (roll < 50) await this.#get(side);
    else if (roll < 72) this.#settle(side);
    else if (roll < 80) await this.#consume(side);
    else if (roll < 84) await this.#cancel(side);
    else if (roll < 88) {
      await channel.call("basic.qos", { prefetchCount: dice.below(4), global: this.#global });
    } else if (roll < 91) await channel.call("queue.purge", { queue });
    else if (roll < 93) await this.#again(side);
    else if (roll < 95 && !this.#bounded.has(queue)) {
      await channel.call("basic.recover", { requeue: true });
      side.tags = [];
    } else await this.#bind();
    await this.#quiet();
  }

  async #publish(): Promise<void> {
    const dice = this.#dice;
    const properties: BasicProperties = {};
    if (dice.chance(50)) properties.deliveryMode = 2;
    if (dice.chance(30)) properties.priority = dice.below(6);
    if (dice.chance(40)) properties.headers = { h: dice.below(2), i: dice.of(["x", "y"]) };
    if (dice.chance(10)) {
      properties.headers = { ...properties.headers, CC: [this.#name(dice.of(QUEUES)), "a"] };
    }
    const [exchange, key] = dice.chance(40)
      ? ["", this.#name(dice.of(QUEUES))]
      : [this.#name(dice.of(EXCHANGES)), dice.of(KEYS)];
    await this.#publisher.put(exchange, key, `${this.#message++}`, properties, dice.chance(30));
  }

  async #get({ channel, queue, tags }: Side): Promise<void> {
    const noAck = this.#global || this.#dice.chance(40);
    const one = await channel.get(queue, noAck);
    if (one !== undefined && !noAck) tags.push(one.deliveryTag);
  }

  #settle(side: Side): void {
    const dice = this.#dice;
    const { channel } = side;
    if (side.tags.length === 0) return;
    const [tag] = side.tags.splice(dice.below(side.tags.length), 1) as [number];
    const multiple = dice.chance(25) && !this.#bounded.has(side.queue);
    if (multiple) side.tags = side.tags.filter((other) => other > tag);
    const roll = dice.below(100);
    if (roll < 40) channel.ack(tag, multiple);
    else channel.nack(tag, { multiple, requeue: roll < 70 });
  }

  async #consume({ channel, queue, consumers }: Side): Promise<void> {
    const dice = this.#dice;
    if (consumers.length === 3) return;
    const args = dice.chance(30) ? { "x-priority": dice.below(3) } : {};
    const consumerTag = `c${this.#message++}`;
    const noAck = !this.#global && dice.chance(40);
    if (noAck) this.#free.add(consumerTag);
    consumers.push(consumerTag);
    await channel.consume(queue, { consumerTag, noAck }, args);
  }

  async #cancel({ channel, consumers }: Side): Promise<void> {
    if (consumers.length === 0) return;
    const [consumerTag] = consumers.splice(this.#dice.below(consumers.length), 1);
    await channel.call("basic.cancel", { consumerTag: consumerTag! });
  }

  /** Closes and reopens a channel. */
  async #again(side: Side): Promise<void> {
    await side.channel.close();
    await side.channel.call("channel.open", {}, true);
    side.tags = [];
    side.consumers = [];
  }

  /** Waits until the queues are stable: a message can be dead-lettered several times. */
  async #quiet(): Promise<void> {
    for (let round = 0; round < 2; round++) {
      await Promise.all(this.#sides.map(({ channel, queue }) => channel.barrier(queue)));
    }
    for (const side of this.#sides) {
      const { received } = side.channel.peer;
      for (; side.seen < received.length; side.seen++) {
        const { name, channel, args } = received[side.seen]!;
        if (name !== "basic.deliver" || channel !== side.channel.number) continue;
        if (!this.#free.has(args["consumerTag"] as string)) side.tags.push(args["deliveryTag"] as number);
      }
    }
  }
}

const scripts: Record<string, Script> = {};
for (let seed = 1; seed <= WALKS; seed++) {
  scripts[`walk ${seed}`] = async (on) => await new Walk(on, seed).run();
}

export const random: readonly Case[] = cases("random", scripts);
