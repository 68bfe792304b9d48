/** The timers of a queue: the expiry of messages, and of a queue without a use; the oldest message. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Queue } from "../../../../../lib/broker/core/queue/queue.ts";
import { DAY, LONGEST, Scene, START } from "./scene.ts";

describe("queue, time", () => {
  it("expiry - one timer for the next message that expires, of all priorities", () => {
    const scene = new Scene({ arguments: { "x-max-priority": 1, "x-dead-letter-exchange": "d" } });
    const { queue } = scene;
    scene.push(1, { lane: 0, ttl: 500 });
    scene.push(1, { lane: 1, ttl: 300 });
    scene.push(1, { lane: 1, ttl: 100 });
    scene.work();
    assert.deepEqual(scene.waits, [300]);
    queue.expire();
    assert.deepEqual(scene.waits, [300], "the timer runs already");
    scene.advance(299);
    assert.deepEqual(scene.news(), []);
    scene.advance(1);
    assert.deepEqual(scene.news().filter((text) => text.startsWith("dead")), [
      "dead expired 1 0",
      "dead expired 1 1",
    ]);
    assert.deepEqual(scene.waits, [300, 200]);
    // A message without an expiry in front does not expire, and hides the others of its lane.
    scene.push(1, { lane: 1 });
    scene.push(1, { lane: 1, ttl: 50 });
    scene.advance(100);
    queue.expire();
    assert.deepEqual([scene.news(), scene.waits], [[], [300, 200]]);
    scene.advance(100);
    assert.deepEqual(scene.news(), ["dead expired 0 0", "settle 3 7 0 0 1 false"]);
    assert.deepEqual([queue.stats.expired, queue.ready], [3, 2]);
    // A get drops what expires at that moment.
    assert.ok(queue.take());
    assert.deepEqual([queue.takenLane, queue.takenSeq], [1, 2]);
    assert.equal(queue.take(), false);
    assert.deepEqual(scene.news(), ["dead expired 1 3", "settle 3 7 1 3 1 false"]);
  });

  it("expiry - a time to live of 0 is long enough for a consumer that waits, and not for what expired before", () => {
    const scene = new Scene();
    scene.push(1, { ttl: 1 });
    scene.queue.expire();
    assert.deepEqual(scene.waits, [1]);
    const { got } = scene.consume(5);
    assert.deepEqual(got, ["0 0"]);
    scene.push(1, { ttl: 1 });
    // The timer is late.
    scene.cycle.now += 2;
    scene.push(2, { ttl: 0 });
    assert.deepEqual(got, ["0 0", "0 2", "0 3"]);
    const { stats } = scene.queue;
    assert.deepEqual([stats.published, stats.expired, stats.overflowed, stats.activeAt], [
      4,
      1,
      0,
      START + 2,
    ]);
  });

  it("expiry - a get drops all that expired, in each priority, before it takes the next", () => {
    const scene = new Scene({ arguments: { "x-max-priority": 1 } });
    const { queue } = scene;
    for (const lane of [0, 1]) {
      scene.push(2, { lane, ttl: 10 });
      scene.push(1, { lane });
    }
    scene.cycle.now += 10;
    const taken = Array.from(
      { length: 3 },
      () => queue.take() ? `${queue.takenLane} ${queue.takenSeq}` : "none",
    );
    assert.deepEqual([taken, queue.stats.expired], [["1 2", "0 2", "none"], 4]);
  });

  it("expiry - also of messages from the journal; a queue that has some wakes up", () => {
    for (const count of [0, 1, 2]) {
      const scene = new Scene();
      const { queue } = scene;
      for (let seq = 0; seq < count; seq++) queue.lanes[0]!.restore(seq, 1, 1, 1, START + 100);
      queue.recovered();
      assert.equal(queue.awake, count > 0);
      scene.work();
      scene.advance(99);
      assert.equal(queue.ready, count);
      scene.advance(1);
      assert.deepEqual([queue.ready, queue.stats.expired], [0, count]);
    }
  });

  it("expiry - the timer of a far one is as long as timers may be, and is set again", () => {
    const scene = new Scene();
    scene.push(1, { ttl: 30 * DAY });
    scene.work();
    assert.deepEqual(scene.waits, [LONGEST]);
    scene.advance(LONGEST);
    assert.deepEqual([scene.waits, scene.queue.ready], [[LONGEST, 30 * DAY - LONGEST], 1]);
    scene.advance(30 * DAY - LONGEST);
    assert.equal(scene.queue.ready, 0);
    // After a stop nothing happens any more.
    scene.push(1, { ttl: 10 });
    scene.work();
    scene.queue.stop();
    scene.advance(10);
    assert.equal(scene.queue.ready, 1);
  });

  it("unused - the queue is deleted after the time without a use, and each use begins it again", () => {
    const scene = new Scene({ arguments: { "x-expires": 1000 } });
    const { queue } = scene;
    scene.advance(600);
    queue.touch();
    scene.advance(400);
    scene.advance(599);
    assert.deepEqual([scene.waits.splice(0), scene.news()], [[1000, 600], []]);
    queue.touch();
    scene.advance(1);
    scene.advance(998);
    queue.touch();
    scene.advance(1);
    assert.deepEqual([scene.waits.splice(0), scene.news()], [[999, 999], []]);
    queue.touch();
    scene.advance(999);
    const consumer = scene.consume();
    scene.advance(5000);
    assert.deepEqual(scene.news(), [], "it has a consumer");
    queue.removeConsumer(consumer);
    scene.advance(999);
    assert.deepEqual(scene.news(), []);
    scene.advance(1);
    assert.deepEqual(scene.news(), ["delete"]);
  });

  it("unused - a long time, one that a policy changes, and none", () => {
    const exact = new Scene({ arguments: { "x-expires": 1000 } });
    exact.advance(1);
    exact.queue.touch();
    exact.advance(999);
    assert.deepEqual([exact.news(), exact.waits], [[], [1000, 1]]);
    exact.advance(1);
    assert.deepEqual(exact.news(), ["delete"]);
    const long = new Scene({ arguments: { "x-expires": 60 * DAY } });
    long.advance(60 * DAY - 1);
    assert.deepEqual(long.news(), []);
    assert.deepEqual(long.waits, [LONGEST, LONGEST, 60 * DAY - 2 * LONGEST]);
    long.advance(1);
    assert.deepEqual(long.news(), ["delete"]);
    const scene = new Scene();
    const policies = (definition: Record<string, unknown>) =>
      ({ policy: undefined, operatorPolicy: undefined, definition }) as Parameters<Queue["setPolicies"]>[0];
    scene.queue.setPolicies(policies({ expires: 500 }));
    scene.advance(400);
    scene.queue.setPolicies(policies({ expires: 300 }));
    scene.advance(299);
    scene.queue.setPolicies(policies({ expires: 300, "max-length": 4 }));
    assert.deepEqual([scene.waits, scene.news()], [[500, 300], []]);
    scene.advance(1);
    assert.deepEqual(scene.news(), ["delete"]);
    scene.queue.setPolicies(undefined);
    scene.advance(10 * DAY);
    assert.deepEqual([scene.waits, scene.news()], [[500, 300], []]);
  });

  it("the oldest message - of all priorities; one whose time is not known is older than all others", () => {
    const scene = new Scene({ arguments: { "x-max-priority": 2 } });
    const { queue } = scene;
    assert.equal(queue.oldest, undefined);
    scene.advance(5000);
    scene.push(1, { lane: 1 });
    scene.advance(5000);
    scene.push(1, { lane: 2 });
    scene.push(1, { lane: 0 });
    assert.deepEqual(queue.oldest, { time: START + 5000, isExact: true });
    queue.settle(1, 0);
    assert.deepEqual(queue.oldest, { time: START + 10_000, isExact: true });
    scene.advance(5000);
    scene.push(1, { lane: 2 });
    queue.settle(0, 0);
    assert.deepEqual(queue.oldest, { time: START + 10_000, isExact: true });
    queue.settle(2, 0);
    assert.deepEqual(queue.oldest, { time: START + 15_000, isExact: true });
    // As after a start: the message was there before.
    const restored = new Scene({ arguments: { "x-max-priority": 1 } });
    restored.queue.lanes[1]!.restore(0, 1, 1, 1, 0);
    restored.advance(3000);
    restored.push(1, { lane: 0 });
    assert.deepEqual(restored.queue.oldest, { time: START, isExact: false });
  });
});
