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

const REASONS: readonly Reason[] = [
  {
    what: "a publisher that waits for a broker without room",
    async begin(channel, other, broker) {
      broker.core.faults.blocked = "a test";
      broker.core.onRoomChange();
      channel.publish("", "q", "later");
      await channel.peer.zero.take("connection.blocked");
      await other.queue("another");
    },
    async end(channel, _other, broker) {
      broker.core.faults.blocked = undefined;
      broker.core.onRoomChange();
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
      // More than may wait for a client.
      let before = -1;
      await waitFor(() => {
        const same = queue.ready === before;
        before = queue.ready;
        return same;
      });
      assert.ok(before > 0, "all of it was written");
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
});
