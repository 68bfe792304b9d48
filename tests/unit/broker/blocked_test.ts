/**
 * Publishers are blocked while the memory for messages is full, notified if they support it, and unblocked afterwards.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Broker } from "../../../lib/broker/server.ts";
import { Peer, type PeerChannel } from "../../interop/amqp/peer.ts";
import { DEADLINE, waitFor } from "../../support/helpers.ts";

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
  it("blocked - a publisher gets the reason and waits; its message is taken when there is space", () =>
    scene(async ({ broker, url, events }) => {
      const [peer, other] = [await Peer.open(url), await Peer.open(url)];
      const [channel, consumer] = [await peer.channel(), await other.channel()];
      await channel.queue("q");
      const count = await fill(channel, "q", broker);
      assert.equal(settled(peer, "basic.ack"), count);
      assert.deepEqual(events, ["the memory for messages is full"]);

      // There is no space for the next message, which waits: a full memory refuses nothing.
      channel.publish("", "q", "waits");
      const { args } = await peer.zero.take("connection.blocked");
      assert.equal(args["reason"], "the memory for messages is full");

      // Connections that do not publish are served: consumers free the memory.
      await consumer.consume("q", { noAck: true });
      await consumer.deliveries(count + 1);
      await peer.zero.take("connection.unblocked");
      await waitFor(() => settled(peer, "basic.ack") === count + 1, DEADLINE, "the confirm");
      assert.equal(settled(peer, "basic.nack"), 0);
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
      channel.publish("", "q", "too much");
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
      channel.publish("", "q", "too much");
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

  it("blocked - many publishers without confirms exceed the limit by little, and lose nothing", () =>
    scene(async ({ broker, url }) => {
      const size = 512 * KIB;
      const [publishers, each] = [24, 2];
      const peers = await Promise.all(Array.from({ length: publishers }, () => Peer.open(url)));
      const channels = await Promise.all(peers.map((peer) => peer.channel()));
      await channels[0]!.queue("q");
      let most = 0;
      const watch = setInterval(() => most = Math.max(most, broker.core.journal.memorySize), 1);
      for (let i = 0; i < each; i++) {
        for (const channel of channels) channel.publish("", "q", new Uint8Array(size));
      }
      await waitFor(() => broker.core.blocked !== undefined);
      await waitFor(() =>
        [...broker.connections].filter(({ state }) => state === "blocked").length > publishers / 2
      );
      const consumer = await (await Peer.open(url)).channel();
      await consumer.call("basic.qos", { prefetchCount: 4 });
      await consumer.consume("q");
      for (let i = 0; i < publishers * each; i++) consumer.ack((await consumer.delivery()).deliveryTag);
      clearInterval(watch);
      // Memory is allocated in blocks of 1 MiB, and one message is taken before the broker notices.
      assert.ok(most < LIMIT + 4 * 1024 * KIB, `${most} bytes in memory`);
      await Promise.all(peers.map((peer) => peer.close()));
      await consumer.peer.close();
    }));

  it("blocked - a connection cannot send more messages at the same time than the limit of memory", () =>
    scene(async ({ url }) => {
      const peer = await Peer.open(url);
      const [first, second, small] = [await peer.channel(), await peer.channel(), await peer.channel()];
      await small.queue("q");
      begin(first, BIG);
      peer.body(first.number, PART);
      begin(second, BIG);
      const { args } = await second.take("channel.close");
      assert.equal(args["replyCode"], 311);
      assert.match(`${args["replyText"]}`, /^CONTENT_TOO_LARGE - .*8388608 bytes/);
      // The other channels continue.
      small.publish("", "q", "small");
      await small.ready("q", 1);
      for (let sent = PART.length; sent < BIG; sent += PART.length) peer.body(first.number, PART);
      await small.ready("q", 2);
      // The memory is free again.
      await second.call("channel.open");
      second.publish("", "q", new Uint8Array(200 * KIB));
      await small.ready("q", 3);
      await peer.close();
    }));

  it("blocked - messages of other connections wait for the memory", () =>
    scene(async ({ broker, url }) => {
      const peers = [await Peer.open(url), await Peer.open(url), await Peer.open(url)];
      const channels = await Promise.all(peers.map((peer) => peer.channel()));
      const consumer = await peers[0]!.channel();
      await consumer.queue("q");
      begin(channels[0]!, BIG);
      peers[0]!.body(1, PART);
      await waitFor(() => [...broker.connections].some(({ received }) => received > PART.length));
      for (const channel of channels.slice(1)) channel.publish("", "q", new Uint8Array(BIG));
      for (let sent = PART.length; sent < BIG; sent += PART.length) peers[0]!.body(1, PART);
      await consumer.consume("q", { noAck: true });
      await consumer.deliveries(3);
      await Promise.all(peers.map((peer) => peer.close()));
    }));

  it("blocked - a client that stops in the middle of a message is disconnected when others wait", async () => {
    const broker = await Broker.open({ memoryLimit: LIMIT, stallTimeout: 500 });
    const url = await broker.listen("amqp://127.0.0.1:0");
    const [stalled, peer] = [await Peer.open(url), await Peer.open(url)];
    const [first, channel] = [await stalled.channel(), await peer.channel()];
    await channel.queue("q");
    begin(first, BIG);
    stalled.body(1, PART);
    await waitFor(() => [...broker.connections].some(({ received }) => received > PART.length));
    await channel.call("confirm.select");
    await channel.put("", "q", new Uint8Array(BIG));
    await stalled.ended();
    await peer.close();
    await broker.close();
  });
});

const BIG = 6000 * KIB;
const PART = new Uint8Array(100 * KIB);

/** Begins a message without its body. */
function begin(channel: PeerChannel, size: number): void {
  channel.send("basic.publish", { routingKey: "q" });
  channel.peer.header(channel.number, size);
}
