/** Deliveries on a channel: how they are acknowledged, limited and repeated, and what the broker counts. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { counted, Stage } from "../../stage.ts";

describe("broker, deliveries on a channel", () => {
  const stage = new Stage({ maxMessageSize: 200_000 });
  before(() => stage.open());
  after(() => stage.close());

  it("ack, nack and reject - one delivery or all up to it, with their counts", () =>
    stage.play(async ({ channel, queue, told, publish, served, vhost }) => {
      publish("abcdef");
      await channel.consume(queue, { consumerTag: "t" });
      assert.deepEqual(await told(), [
        "consume-ok t",
        'deliver t 1 "a"',
        'deliver t 2 "b"',
        'deliver t 3 "c"',
        'deliver t 4 "d"',
        'deliver t 5 "e"',
        'deliver t 6 "f"',
      ]);
      channel.ack(2, true);
      channel.nack(4, { requeue: true, multiple: true });
      assert.deepEqual(await told(), ['deliver t 7 again "c"', 'deliver t 8 again "d"']);
      channel.reject(5, true);
      channel.reject(6, false);
      channel.nack(7);
      assert.deepEqual(await told(), ['deliver t 9 again "e"']);
      assert.equal(served.unacked, 2);
      const fetched = vhost.queues.get(queue)!;
      assert.deepEqual([fetched.unacked, fetched.ready, fetched.unackedBytes], [2, 0, 2]);
      channel.ack(0, true);
      channel.ack(0, true);
      assert.deepEqual(await told(), []);
      assert.equal(served.unacked, 0);
      assert.deepEqual(counted(served.stats), {
        delivered: 9,
        redelivered: 3,
        acknowledged: 4,
        published: 6,
      });
      assert.deepEqual(counted(vhost.stats), {
        delivered: 9,
        redelivered: 3,
        acknowledged: 4,
        published: 6,
        routed: 6,
        channelsOpened: 2,
        queuesDeclared: 2,
        queuesCreated: 2,
      });
      assert.deepEqual(counted(fetched.stats), {
        delivered: 9,
        redelivered: 3,
        acknowledged: 4,
        published: 6,
        rejected: 2,
        activeAt: 1700000000000,
      });
    }, { queue: { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead" } }));

  it("get - with and without acknowledgement, with the count of what is left", () =>
    stage.play(async ({ channel, queue, told, publish, served, vhost }) => {
      channel.send("basic.get", { queue });
      publish("abcd");
      channel.send("basic.get", { queue });
      channel.send("basic.get", { queue, noAck: true });
      channel.reject(1, true);
      channel.send("basic.get", { queue });
      channel.send("basic.get", { queue, noAck: true });
      assert.deepEqual(await told(), [
        "get-empty",
        'get-ok 1 3 "a"',
        'get-ok 2 2 "b"',
        'get-ok 3 again 2 "a"',
        'get-ok 4 1 "c"',
      ]);
      channel.send("basic.recover", { requeue: true });
      channel.send("basic.get", { queue, noAck: true });
      channel.send("basic.recover-async", { requeue: true });
      assert.deepEqual(await told(), ["recover-ok", 'get-ok 5 again 1 "a"']);
      assert.deepEqual(counted(served.stats), {
        redelivered: 2,
        got: 2,
        gotNoAck: 3,
        getEmpty: 1,
        published: 4,
      });
      assert.deepEqual(counted(vhost.stats), {
        redelivered: 2,
        got: 2,
        gotNoAck: 3,
        getEmpty: 1,
        published: 4,
        routed: 4,
        channelsOpened: 2,
        queuesDeclared: 2,
        queuesCreated: 2,
      });
      assert.deepEqual(counted(vhost.queues.get(queue)!.stats), {
        redelivered: 2,
        got: 2,
        gotNoAck: 3,
        getEmpty: 1,
        published: 4,
        activeAt: 1700000000000,
      });
    }));

  it("recover - what a transaction settles stays until its end", () =>
    stage.play(async ({ channel, queue, told, publish, served }) => {
      publish("abcdef");
      await channel.call("tx.select");
      await channel.consume(queue, { consumerTag: "t" });
      await channel.deliveries(6);
      await told();
      channel.ack(2);
      channel.ack(5);
      channel.send("basic.recover", { requeue: true });
      assert.deepEqual(await told(), [
        "recover-ok",
        'deliver t 7 again "a"',
        'deliver t 8 again "c"',
        'deliver t 9 again "d"',
        'deliver t 10 again "f"',
      ]);
      channel.send("tx.rollback");
      channel.ack(2);
      channel.send("tx.commit");
      channel.publish("", queue, "later");
      assert.deepEqual(await told(), ["tx.rollback-ok", "tx.commit-ok"]);
      assert.equal(served.transactional, true);
      assert.equal(served.unacked, 5);
    }));

  it("prefetch - of each consumer, and of the channel", () =>
    stage.play(async ({ channel, queue, told, publish, served }) => {
      await channel.call("basic.qos", { prefetchCount: 2 });
      await channel.consume(queue, { consumerTag: "two" });
      await channel.call("basic.qos", { prefetchCount: 1 });
      await channel.consume(queue, { consumerTag: "one" });
      publish("abcde");
      assert.deepEqual(await told(), [
        "qos-ok",
        "consume-ok two",
        "qos-ok",
        "consume-ok one",
        'deliver two 1 "a"',
        'deliver one 2 "b"',
        'deliver two 3 "c"',
      ]);
      channel.ack(2);
      assert.deepEqual(await told(), ['deliver one 4 "d"']);
      assert.deepEqual([served.prefetch, served.globalPrefetch], [1, 0]);
      await channel.call("basic.cancel", { consumerTag: "one" });
      await channel.call("basic.cancel", { consumerTag: "two" });
      channel.nack(0, { multiple: true });
      await channel.call("basic.qos", { prefetchCount: 3, global: true });
      assert.deepEqual([served.prefetch, served.globalPrefetch], [1, 3]);
      await channel.call("basic.qos", { prefetchCount: 0 });
      await channel.call("basic.qos", { prefetchCount: 3, global: true });
      await channel.consume(queue, { consumerTag: "u" });
      await channel.consume(queue, { consumerTag: "v" });
      await channel.consume(queue, { consumerTag: "w", noAck: true });
      await told();
      publish("fghijklmn");
      assert.deepEqual(await told(), ['deliver u 6 "f"', 'deliver v 7 "g"']);
      channel.nack(0, { multiple: true });
      assert.deepEqual(await told(), [
        'deliver w 8 "h"',
        'deliver u 9 "i"',
        'deliver v 10 "j"',
        'deliver w 11 "k"',
        'deliver u 12 "l"',
      ]);
      await channel.call("basic.qos", { prefetchCount: 0, global: true });
      assert.deepEqual(await told(), ["qos-ok", 'deliver v 13 "m"', 'deliver w 14 "n"']);
    }));

  it("get - does not count for a prefetch", () =>
    stage.play(async ({ channel, queue, told, publish }) => {
      await channel.call("basic.qos", { prefetchCount: 1, global: true });
      publish("abc");
      channel.send("basic.get", { queue });
      await channel.consume(queue, { consumerTag: "t" });
      assert.deepEqual(await told(), ["qos-ok", 'get-ok 1 2 "a"', "consume-ok t", 'deliver t 2 "b"']);
      channel.ack(1);
      assert.deepEqual(await told(), []);
      channel.ack(2);
      assert.deepEqual(await told(), ['deliver t 3 "c"']);
    }));

  it("quorum queues - count redeliveries, and drop a message that comes back too often", () =>
    stage.play(async ({ channel, queue, told, publish, vhost }) => {
      publish("ab");
      channel.send("basic.get", { queue });
      channel.reject(1, true);
      channel.send("basic.get", { queue });
      channel.reject(2, true);
      await channel.consume(queue, { consumerTag: "t" });
      assert.deepEqual(await told(), [
        'get-ok 1 1 "a" x-delivery-count=0',
        'get-ok 2 again 1 "a" x-delivery-count=1',
        "consume-ok t",
        'deliver t 3 again "a" x-delivery-count=2',
        'deliver t 4 "b"',
      ]);
      channel.reject(3, true);
      channel.reject(4, true);
      assert.deepEqual(await told(), ['deliver t 5 again "b" x-delivery-count=1']);
      assert.equal(vhost.queues.get(queue)!.returnsOf(1), 1);
      channel.ack(5);
      publish("c");
      assert.deepEqual(await told(), ['deliver t 6 "c"']);
      assert.equal(vhost.queues.get(queue)!.returnsOf(1), 0);
      channel.send("basic.get", { queue: "dead" });
      assert.deepEqual(await told(), [
        'get-ok 7 0 "a" x-death x-first-death-reason=delivery_limit x-first-death-queue=q x-first-death-exchange=',
      ]);
      assert.deepEqual(counted(vhost.queues.get(queue)!.stats), {
        delivered: 4,
        redelivered: 3,
        got: 2,
        acknowledged: 1,
        published: 3,
        overDelivered: 1,
        activeAt: 1700000000000,
      });
    }, {
      queue: {
        "x-queue-type": "quorum",
        "x-delivery-limit": 2,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "dead",
      },
    }));

  it("transactions - are seen when they are committed, and not after a rollback", () =>
    stage.play(async ({ channel, queue, told, publish }) => {
      await channel.call("tx.select");
      await channel.call("tx.select");
      publish("a");
      channel.send("tx.rollback");
      publish("b");
      channel.publish("", "nobody", "returned", {}, true);
      channel.send("basic.get", { queue });
      assert.deepEqual(await told(), ["tx.select-ok", "tx.select-ok", "tx.rollback-ok", "get-empty"]);
      channel.send("tx.commit");
      channel.send("basic.get", { queue });
      channel.nack(1, { requeue: true });
      channel.send("basic.get", { queue });
      channel.send("tx.commit");
      channel.send("basic.get", { queue });
      assert.deepEqual(await told(), [
        'return 312 NO_ROUTE "returned"',
        "tx.commit-ok",
        'get-ok 1 0 "b"',
        "get-empty",
        "tx.commit-ok",
        'get-ok 2 again 0 "b"',
      ]);
    }));
});
