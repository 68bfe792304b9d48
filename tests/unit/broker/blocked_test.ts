/**
 * Publishers are blocked while the memory for messages is full, notified if they support it, and unblocked afterwards.
 */
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

/** Runs `work` with a broker with little memory. */
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

/** Publishes until the memory is full. */
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
  it("blocked - a publisher is refused with the reason, and unblocked when there is space", () =>
    scene(async ({ broker, url, events }) => {
      const [peer, other] = [await Peer.open(url), await Peer.open(url)];
      const [channel, consumer] = [await peer.channel(), await other.channel()];
      await channel.queue("q");
      const count = await fill(channel, "q", broker);
      assert.equal(settled(peer, "basic.ack"), count);
      assert.deepEqual(events, ["the memory for messages is full"]);

      // There is no space for the next message.
      await channel.put("", "q", "too much");
      assert.equal(settled(peer, "basic.nack"), 1);
      const { args } = await peer.zero.take("connection.blocked");
      assert.equal(args["reason"], "the memory for messages is full");

      // Connections that do not publish are served: consumers free the memory.
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

  it("blocked - a publisher without connection.blocked support waits and continues", () =>
    scene(async ({ broker, url }) => {
      const [peer, other] = [await Peer.open(url, { clientProperties: {} }), await Peer.open(url)];
      const [channel, consumer] = [await peer.channel(), await other.channel()];
      await channel.queue("q");
      const count = await fill(channel, "q", broker);
      await channel.put("", "q", "too much");
      // The broker does not read this before there is space.
      channel.send("queue.declare", { queue: "late" });
      await consumer.consume("q", { noAck: true });
      await consumer.deliveries(count);
      await channel.take("queue.declare-ok");
      assert.equal(settled(peer, "connection.blocked") + settled(peer, "connection.unblocked"), 0);
      await Promise.all([peer.close(), other.close()]);
    }));

  it("blocked - a connection that closes while it is blocked is removed", () =>
    scene(async ({ broker, url }) => {
      // The broker does not read from a blocked connection, so only a failed write shows that the client is gone.
      const peer = await Peer.open(url, { heartbeat: 1 });
      const channel = await peer.channel();
      await channel.queue("q", {}, { exclusive: true });
      await fill(channel, "q", broker);
      await channel.put("", "q", "too much");
      await peer.zero.take("connection.blocked");
      peer.cut();
      // The queue is deleted with its connection, which frees the memory.
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
