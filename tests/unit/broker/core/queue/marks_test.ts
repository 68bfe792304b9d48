/** What a queue tells the journal: the marks of delivered messages, and what is settled. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Scene } from "./scene.ts";

describe("queue, what the journal gets to know", () => {
  it("marks - of each lane the last delivered message, once, and only those of a durable queue", () => {
    for (const durable of [true, false]) {
      const scene = new Scene({ durable, arguments: { "x-max-priority": 2 } });
      scene.push(2, { lane: 1 });
      scene.push(3, { lane: 2 });
      const { got } = scene.consume(4);
      assert.deepEqual(got, ["2 0", "2 1", "2 2", "1 0"]);
      assert.deepEqual(scene.news(), durable ? ["delivered 7 1 0", "delivered 7 2 2"] : []);
      scene.queue.giveBack(2, 1);
      assert.equal(scene.queue.take(), true);
      assert.deepEqual([scene.queue.takenLane, scene.queue.takenSeq], [2, 1]);
      scene.queue.noteDelivered();
      assert.deepEqual(scene.news(), [], "an earlier message is marked already");
      assert.equal(scene.queue.take(), true);
      scene.queue.noteDelivered();
      assert.deepEqual(scene.news(), durable ? ["delivered 7 1 1"] : []);
      assert.equal(scene.queue.take(), false);
    }
  });

  it("marks - a message that is delivered before its turn has one of its own until it is settled", () => {
    for (const durable of [true, false]) {
      const scene = new Scene({ durable });
      const { queue } = scene;
      scene.push(5);
      const consumer = scene.consume(0);
      queue.deliverTo(consumer, 0, 3);
      assert.deepEqual(consumer.got, ["0 3"]);
      assert.deepEqual(scene.news(), durable ? ["deliveredOne 7 0 3"] : []);
      assert.equal(queue.take(), true);
      queue.deliverTo(consumer, 0, 1);
      assert.deepEqual(scene.news(), durable ? ["deliveredOne 7 0 1"] : []);
      queue.settle(0, 0);
      queue.settle(0, 3);
      queue.settle(0, 3);
      assert.deepEqual(
        scene.news().filter((text) => text.startsWith("settledOne")),
        durable ? ["settledOne 7 0 3"] : [],
      );
      // The next message in turn is marked with those before it.
      queue.markRedelivered(0, 1);
      queue.markRedelivered(0, 2);
      queue.markRedelivered(0, 4);
      assert.deepEqual(
        scene.news(),
        durable ? ["delivered 7 0 1", "delivered 7 0 2", "deliveredOne 7 0 4"] : [],
      );
      assert.deepEqual([1, 2, 4].map((seq) => queue.lanes[0]!.isRedelivered(seq)), [true, true, true]);
    }
  });

  it("settle - tells the place, the size, and whether another message replaces it", () => {
    const dead = { "x-dead-letter-exchange": "d" };
    for (const replaces of [true, false]) {
      const scene = new Scene({ arguments: { ...dead, "x-max-priority": 1 }, replaces });
      scene.push(2, { lane: 1, size: 5 });
      scene.push(1, { lane: 0, size: 9 });
      scene.queue.settle(1, 1);
      scene.queue.take();
      scene.queue.reject(1, 0);
      scene.queue.settle(0, 0, true);
      assert.deepEqual(scene.news(), [
        "settle 3 7 1 1 5 false",
        "dead rejected 1 0",
        `settle 3 7 1 0 5 ${replaces}`,
        "settle 3 7 0 0 9 true",
      ]);
      assert.deepEqual([scene.queue.stats.rejected, scene.queue.ready, scene.queue.unacked], [1, 0, 0]);
    }
  });

  it("delivery limit - a message of a quorum queue is dead when it comes back once more", () => {
    const scene = new Scene({
      arguments: { "x-queue-type": "quorum", "x-delivery-limit": 2, "x-dead-letter-exchange": "d" },
    });
    const { queue } = scene;
    scene.push(2);
    for (let returns = 0; returns < 3; returns++) {
      assert.equal(queue.returnsOf(0), returns);
      assert.ok(queue.take());
      assert.deepEqual([queue.takenSeq, scene.news()], [0, []]);
      queue.giveBack(0, 0);
    }
    assert.deepEqual(scene.news(), ["dead delivery_limit 0 0", "settle 3 7 0 0 1 false"]);
    assert.deepEqual([queue.returnsOf(0), queue.stats.overDelivered, queue.ready], [0, 1, 1]);
    const classic = new Scene();
    classic.push();
    for (let i = 0; i < 100; i++) {
      assert.ok(classic.queue.take());
      classic.queue.giveBack(0, 0);
    }
    assert.equal(classic.queue.returnsOf(0), 0);
  });
});
