/** Publishers are held back while the memory for messages is full, told so if they want to hear it, and let go again. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Broker } from "../../../lib/broker/server.ts";
import { Peer, type PeerChannel } from "../../interop/amqp/peer.ts";

const KIB = 1024;
const LIMIT = 8 * 1024 * KIB;

interface Scene {
  readonly broker: Broker;
  readonly url: string;
  readonly events: (string | undefined)[];
}

/** A broker with little memory, for as long as `work` takes. */
async function scene(work: (scene: Scene) => Promise<void>): Promise<void> {
  const events: (string | undefined)[] = [];
  const broker = await Broker.open({
    memoryLimit: LIMIT,
    onEvent: (event) => void (event.type === "blocked" && events.push(event.reason)),
  });
  try {
    await work({ broker, url: await broker.listen("amqp://127.0.0.1:0"), events });
  } finally {
    await broker.close();
  }
}

/** Publishes until the memory is full, and no further. */
async function fill(channel: PeerChannel, queue: string, broker: Broker): Promise<number> {
  await channel.call("confirm.select");
  let count = 0;
  while (broker.core.blocked === undefined) {
    await channel.put("", queue, new Uint8Array(128 * KIB));
    assert.ok(++count < 1000, "The memory is never full");
  }
  return count;
}

const settled = (peer: Peer, name: string) => peer.received.filter((one) => one.name === name).length;

describe("blocked", () => {
  it("blocked - a publisher is refused, told why, and let go once there is room", () =>
    scene(async ({ broker, url, events }) => {
      const [peer, other] = [await Peer.open(url), await Peer.open(url)];
      const [channel, consumer] = [await peer.channel(), await other.channel()];
      await channel.queue("q");
      const count = await fill(channel, "q", broker);
      assert.equal(settled(peer, "basic.ack"), count);
      assert.deepEqual(events, ["the memory for messages is full"]);

      // The next one finds no room.
      await channel.put("", "q", "too much");
      assert.equal(settled(peer, "basic.nack"), 1);
      const { args } = await peer.zero.take("connection.blocked");
      assert.equal(args["reason"], "the memory for messages is full");

      // Who does not publish is served: that is what makes room.
      await consumer.consume("q", { noAck: true });
      await consumer.deliveries(count);
      await peer.zero.take("connection.unblocked");
      assert.equal(events.length, 2);
      assert.equal(events[1], undefined);
      await channel.put("", "q", "fits");
      assert.equal((await consumer.delivery()).text, "fits");
      assert.equal(settled(other, "connection.blocked"), 0);
      await Promise.all([peer.close(), other.close()]);
    }));

  it("blocked - a publisher that does not want to hear of it waits, and goes on", () =>
    scene(async ({ broker, url }) => {
      const [peer, other] = [await Peer.open(url, { clientProperties: {} }), await Peer.open(url)];
      const [channel, consumer] = [await peer.channel(), await other.channel()];
      await channel.queue("q");
      const count = await fill(channel, "q", broker);
      await channel.put("", "q", "too much");
      // Nobody reads this before there is room.
      channel.send("queue.declare", { queue: "late" });
      await consumer.consume("q", { noAck: true });
      await consumer.deliveries(count);
      await channel.take("queue.declare-ok");
      assert.equal(settled(peer, "connection.blocked") + settled(peer, "connection.unblocked"), 0);
      await Promise.all([peer.close(), other.close()]);
    }));

  it("blocked - who closes while held back is let go", () =>
    scene(async ({ broker, url }) => {
      // Nothing is read from who is held back: only writing to him tells that he is gone.
      const peer = await Peer.open(url, { heartbeat: 1 });
      const channel = await peer.channel();
      await channel.queue("q", {}, { exclusive: true });
      await fill(channel, "q", broker);
      await channel.put("", "q", "too much");
      await peer.zero.take("connection.blocked");
      peer.cut();
      // With the connection goes its queue, and with that what filled the memory.
      const other = await Peer.open(url);
      const publisher = await other.channel();
      await publisher.gone("queue", "q");
      await publisher.queue("q");
      await publisher.call("confirm.select");
      await publisher.put("", "q", "fits");
      assert.equal(settled(other, "basic.ack"), 1);
      await other.close();
    }));
});
