/** A broker whose clock only the test moves, and an AMQP client that records what it receives. */
import { Broker } from "../../../lib/broker/server.ts";
import type { BrokerOptions } from "../../../lib/broker/options.ts";
import type { VirtualHost } from "../../../lib/broker/core/topology/vhost.ts";
import type { FieldTable } from "../../../lib/amqp/types/field_value.ts";
import type { ClientChannel } from "../../../lib/broker/protocol.ts";
import { TestClock } from "../../../lib/broker/testing/test_clock.ts";
import {
  type Delivered,
  type LoginOptions,
  Peer,
  type PeerChannel,
  type Received,
} from "../../interop/amqp/peer.ts";

/** One event in a line: the name without its class, what it is about, and the message. */
function lineOf({ name, args, properties, body }: Received): string {
  const words = [name.replace(/^(basic|connection|channel)\./, "")];
  for (const [key, value] of Object.entries(args)) {
    if (key === "redelivered") words.push(value === true ? "again" : "");
    else if (["classId", "methodId", "exchange", "routingKey"].includes(key)) continue;
    else if (typeof value === "boolean") words.push(value ? key : "");
    else words.push(String(value));
  }
  if (body !== undefined) words.push(`"${new TextDecoder().decode(body)}"`);
  for (const [key, value] of Object.entries(properties?.headers ?? {})) {
    words.push(typeof value === "object" ? key : `${key}=${value}`);
  }
  return words.filter((word) => word !== "").join(" ");
}

/** A client with a channel and a queue of its own. */
export interface Scene {
  readonly peer: Peer;
  readonly channel: PeerChannel;
  /** Named q. */
  readonly queue: string;
  /** What came since the last call. It waits for the answers to what was sent. */
  readonly told: () => Promise<string[]>;
  /** Fetches all messages of a queue; this is not told. */
  readonly drain: (queue: string) => Promise<Delivered[]>;
  /** The broker's side of the channel, and the virtual host. */
  readonly served: ClientChannel;
  readonly vhost: VirtualHost;
  /** Publishes messages of one letter each to the queue. */
  readonly publish: (letters: string) => void;
}

/** How a script starts: the arguments of the queue q, and the login. */
export interface SceneOptions extends LoginOptions {
  readonly queue?: FieldTable;
}

/** What differs from zero in counters. */
export const counted = (stats: object) =>
  Object.fromEntries(Object.entries(stats).filter(([, n]) => n !== 0));

/** A broker for several scripts. */
export class Stage {
  readonly clock: TestClock = new TestClock({ start: 1_700_000_000_000 });
  readonly #options: BrokerOptions;
  #broker: Broker | undefined;
  #url = "";

  constructor(options: BrokerOptions = {}) {
    this.#options = options;
  }

  get broker(): Broker {
    return this.#broker!;
  }

  async open(): Promise<void> {
    this.#broker = await Broker.open({ clock: this.clock, ...this.#options });
    this.#url = await this.broker.listen("amqp://127.0.0.1:0");
  }

  async close(): Promise<void> {
    await this.broker.close();
  }

  /**
   * Runs a script in an empty virtual host. The queues q and dead exist; a quorum queue is durable, others are exclusive.
   */
  async play(
    work: (scene: Scene) => void | Promise<void>,
    { queue: args = {}, ...login }: SceneOptions = {},
  ): Promise<void> {
    const { broker } = this;
    await broker.reset();
    const peer = await Peer.open(this.#url, login);
    const channel = await peer.channel();
    const watcher = await peer.channel();
    const durable = args["x-queue-type"] === "quorum";
    const queue = await watcher.queue("q", args, { durable, exclusive: !durable });
    await watcher.queue("dead", {}, { exclusive: true });
    let at = peer.received.length;
    const told = async () => {
      await watcher.barrier(queue);
      const fresh = peer.received.slice(at).filter(({ hidden, channel }) =>
        !hidden && channel !== watcher.number
      );
      at = peer.received.length;
      return fresh.map(lineOf);
    };
    const publish = (letters: string) => {
      for (const letter of letters) channel.publish("", queue, letter);
    };
    const [connection] = broker.connections;
    const served = connection!.channels[channel.number]!;
    const drain = (name: string) => watcher.drain(name);
    await work({ peer, channel, queue, told, publish, drain, served, vhost: broker.vhosts.get("/")! });
    await peer.close();
  }
}
