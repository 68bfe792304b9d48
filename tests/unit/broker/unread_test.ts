/** Clients whose input the broker does not read for a while: they are not taken for silent, and nothing gets lost. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Broker } from "../../../lib/broker/server.ts";
import { Peer, type PeerChannel } from "../../interop/amqp/peer.ts";
import { waitFor } from "../../support/helpers.ts";

const LIMIT = 16 * 2 ** 20;
/** Two messages of this size do not fit in the memory at the same time. */
const LARGE = 9 * 2 ** 20;
const HEARTBEAT = 600;

/** How input comes to be unread, and is read again. */
interface Reason {
  readonly what: string;
  /** Brings it about for the channel of a peer. */
  readonly begin: (channel: PeerChannel, other: PeerChannel, broker: Broker) => Promise<void>;
  /** Ends it, and waits for what the peer has sent meanwhile. */
  readonly end: (channel: PeerChannel, other: PeerChannel, broker: Broker) => Promise<void>;
}

const SIZE = 200_000;
const COUNT = 60;

/** Waits until a number stays the same. */
async function unchanged(read: () => number): Promise<void> {
  let before = -1;
  await waitFor(() => {
    const now = read();
    const same = now === before;
    before = now;
    return same;
  });
}

const REASONS: readonly Reason[] = [
  {
    what: "a publisher that waits for a broker without room",
    async begin(channel, other, broker) {
      broker.core.faults.blocked = "a test";
      broker.core.onRoomChange();
      // What is sent during a write goes out in one block after it.
      channel.peer.heartbeat();
      channel.publish("", "q", "later");
      channel.send("queue.declare", { queue: "late" });
      await channel.peer.zero.take("connection.blocked");
      await other.queue("another");
      assert.equal(broker.vhosts.get("/")!.queues.has("late"), false);
    },
    async end(channel, _other, broker) {
      broker.core.faults.blocked = undefined;
      broker.core.onRoomChange();
      await channel.take("queue.declare-ok");
      await channel.ready("q", 1);
    },
  },
  {
    what: "a publisher that waits for memory",
    async begin(channel, other, broker) {
      other.send("basic.publish", { routingKey: "q" });
      other.peer.header(other.number, LARGE);
      other.peer.body(other.number, new Uint8Array(1000));
      const [, connection] = broker.connections;
      await waitFor(() => connection!.received > 1000);
      channel.publish("", "q", new Uint8Array(LARGE));
      await waitFor(() => broker.core.bodies.crowded);
    },
    async end(_channel, other) {
      for (let left = LARGE - 1000; left > 0; left -= 100_000) {
        other.peer.body(other.number, new Uint8Array(Math.min(left, 100_000)));
      }
      await other.consume("q", { noAck: true });
      await other.deliveries(2);
    },
  },
  {
    what: "a client that does not read what it asked for",
    async begin(channel, _other, broker) {
      for (let i = 0; i < COUNT; i++) channel.publish("", "q", new Uint8Array(SIZE));
      await channel.ready("q", COUNT);
      channel.peer.pause();
      for (let i = 0; i < COUNT; i++) channel.send("basic.get", { queue: "q", noAck: true });
      const queue = broker.vhosts.get("/")!.queues.get("q")!;
      await waitFor(() => queue.ready < COUNT);
      await unchanged(() => queue.ready);
      assert.ok(queue.ready > 0, "more was written than may wait for a client");
    },
    async end(channel) {
      channel.peer.resume();
      for (let i = 0; i < COUNT; i++) await channel.take("basic.get-ok");
      await channel.ready("q", 0);
    },
  },
];

describe("broker, unread input", () => {
  for (const { what, begin, end } of REASONS) {
    it(`unread - ${what} is not taken for silent, and continues`, async () => {
      const broker = await Broker.open({ memoryLimit: LIMIT });
      try {
        const url = await broker.listen("amqp://127.0.0.1:0");
        const [peer, second] = [await Peer.open(url, { heartbeat: HEARTBEAT }), await Peer.open(url)];
        const [channel, other] = [await peer.channel(), await second.channel()];
        await channel.queue("q");
        const [connection] = broker.connections;
        let now = performance.now();
        const beat = () => connection!.beat(now += HEARTBEAT * 500, performance.now());
        await begin(channel, other, broker);
        for (let i = 0; i < 9; i++) beat();
        const third = await (await Peer.open(url)).channel();
        // Another client gets an answer after the connection would be closed.
        await third.queue("alive");
        assert.ok([...broker.connections].includes(connection!));
        await end(channel, other, broker);
        await channel.queue("heard");
        // From now on silence counts. The first beat is for what was heard before it.
        for (let i = 0; i < 4; i++) beat();
        await third.queue("still alive");
        assert.ok([...broker.connections].includes(connection!));
        beat();
        await peer.ended();
      } finally {
        await broker.close();
      }
    });
  }

  it("unread - a consumer that does not read gets only a part of the messages, and the rest when it reads", async () => {
    const broker = await Broker.open({ memoryLimit: LIMIT });
    try {
      const url = await broker.listen("amqp://127.0.0.1:0");
      const peer = await Peer.open(url);
      const channel = await peer.channel();
      await channel.queue("q");
      for (let i = 0; i < COUNT; i++) channel.publish("", "q", new Uint8Array(SIZE));
      await channel.ready("q", COUNT);
      const queue = broker.vhosts.get("/")!.queues.get("q")!;
      peer.pause();
      channel.send("basic.consume", { queue: "q", noAck: true });
      await waitFor(() => queue.ready < COUNT);
      await unchanged(() => queue.ready);
      assert.ok(queue.ready > 0, "all messages were written");
      peer.resume();
      await channel.deliveries(COUNT);
      assert.equal(queue.ready, 0);
      await peer.close();
    } finally {
      await broker.close();
    }
  });

  it("unread - a connection is closing until the client has answered", async () => {
    const broker = await Broker.open();
    try {
      const peer = await Peer.open(await broker.listen("amqp://127.0.0.1:0"));
      const [connection] = broker.connections;
      assert.equal(connection!.state, "running");
      peer.pause();
      // A channel that is not open.
      peer.use(7).send("queue.declare", { queue: "q" });
      await waitFor(() => connection!.state === "closing");
      assert.equal(broker.connections.size, 1);
      peer.resume();
      await peer.ended();
      await waitFor(() => broker.connections.size === 0);
    } finally {
      await broker.close();
    }
  });
});
