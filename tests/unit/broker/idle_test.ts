/** The broker works on its own, without input of clients: messages expire, are dead-lettered and delivered. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Cycle } from "../../../lib/broker/core/cycle.ts";
import { Broker } from "../../../lib/broker/server.ts";
import { Peer } from "../../interop/amqp/peer.ts";
import { DEADLINE, waitFor } from "../../support/helpers.ts";

describe("idle broker", () => {
  it("idle - a cycle has the time of its begin", async () => {
    const cycle = new Cycle({
      journal: { flush() {}, syncNow() {}, memoryFull: false, memoryScarce: false },
      safePosition: 0,
      onRoomChange() {},
      onFailure(error) {
        throw error;
      },
    });
    const first = cycle.now;
    await waitFor(() => Date.now() > first, DEADLINE, "the next millisecond");
    const before = Date.now();
    cycle.begin();
    cycle.end();
    assert.ok(cycle.now >= before && cycle.now <= Date.now(), `${cycle.now} is not ${before}`);
  });

  for (const data of ["memory", "quorum"]) {
    it(`idle - a message expires, is dead-lettered and delivered without other traffic (${data})`, async () => {
      const broker = await Broker.open();
      const peer = await Peer.open(await broker.listen("amqp://127.0.0.1:0"));
      const channel = await peer.channel();
      await channel.queue("dead");
      const type = data === "quorum" ? { "x-queue-type": "quorum" } : {};
      await channel.queue("q", {
        "x-message-ttl": 300,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "dead",
        ...type,
      }, { durable: true });
      await channel.consume("dead", { noAck: true });
      const since = performance.now();
      for (const body of ["a", "b"]) channel.publish("", "q", body);
      const texts = (await channel.deliveries(2)).map(({ text }) => text);
      const elapsed = performance.now() - since;
      assert.deepEqual(texts, ["a", "b"]);
      assert.ok(elapsed >= 290, `${elapsed} ms`);
      await peer.close();
      await broker.close();
    });
  }

  it("idle - a message with a long time to live stays, and a shorter one after it waits for the head", async () => {
    const broker = await Broker.open();
    const peer = await Peer.open(await broker.listen("amqp://127.0.0.1:0"));
    const channel = await peer.channel();
    await channel.queue("q");
    channel.publish("", "q", "long", { expiration: "315360000000" });
    channel.publish("", "q", "short", { expiration: "1" });
    await channel.barrier("q");
    const queue = broker.vhosts.get("/")!.queues.get("q")!;
    assert.equal(queue.ready, 2);
    assert.equal((await channel.get("q"))?.text, "long");
    await waitFor(() => queue.ready === 0);
    await peer.close();
    await broker.close();
  });

  it("idle - heartbeats are sent when nothing else was, and a silent client is given up after two intervals", async () => {
    const broker = await Broker.open();
    const url = await broker.listen("amqp://127.0.0.1:0");
    const peer = await Peer.open(url, { heartbeat: 600 });
    const channel = await peer.channel();
    const [connection] = broker.connections;
    let now = performance.now();
    const beat = async () => {
      const before = peer.heartbeats;
      connection!.beat(now += 300_000, performance.now());
      await channel.queue("q");
      return peer.heartbeats - before;
    };
    // Each declaration is a sign of life of both ends.
    for (let i = 0; i < 6; i++) assert.equal(await beat(), 0);
    // Nothing is due before the next half of an interval.
    for (let i = 0; i < 9; i++) connection!.beat(now + 299_999, performance.now());
    await channel.queue("q");
    assert.equal(peer.heartbeats, 0);
    connection!.beat(now += 300_000, performance.now());
    for (let i = 1; i <= 3; i++) {
      connection!.beat(now += 300_000, performance.now());
      await waitFor(() => peer.heartbeats === i);
    }
    assert.equal(peer.over, false);
    connection!.beat(now += 300_000, performance.now());
    await waitFor(() => peer.over);
    const quiet = await Peer.open(url, { heartbeat: 0 });
    const [other] = broker.connections;
    for (let i = 0; i < 9; i++) other!.beat(now += 300_000, performance.now());
    await (await quiet.channel()).queue("q");
    assert.equal(quiet.heartbeats, 0);
    await quiet.close();
    await broker.close();
  });

  it("idle - an unused queue with x-expires is deleted", async () => {
    const broker = await Broker.open();
    const peer = await Peer.open(await broker.listen("amqp://127.0.0.1:0"));
    const channel = await peer.channel();
    await channel.queue("short", { "x-expires": 50 });
    await channel.queue("long", { "x-expires": 315_360_000_000n });
    const { queues } = broker.vhosts.get("/")!;
    await waitFor(() => !queues.has("short"));
    assert.ok(queues.has("long"));
    await peer.close();
    await broker.close();
  });
});
