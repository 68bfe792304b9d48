/** What a queue does at its end, and at a purge. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { GONE } from "../../../../../lib/broker/core/queue/lane.ts";
import { Scene } from "./scene.ts";

describe("queue, its end", () => {
  it("auto-delete - with the last consumer only", () => {
    for (const autoDelete of [true, false]) {
      const scene = new Scene({ autoDelete });
      const [one, two] = [scene.consume(), scene.consume()];
      scene.queue.removeConsumer(one);
      assert.deepEqual(scene.news(), []);
      scene.queue.end(two);
      assert.deepEqual(scene.news(), autoDelete ? ["delete", "cancelled"] : ["cancelled"]);
    }
  });

  it("purge and close - settle the ready ones, or all, of each priority", () => {
    const fill = () => {
      const scene = new Scene({ durable: false, arguments: { "x-max-priority": 1 } });
      scene.push(3, { lane: 0 });
      scene.push(2, { lane: 1 });
      scene.queue.take();
      return scene;
    };
    const purged = fill();
    assert.equal(purged.queue.purge(), 4);
    assert.deepEqual([purged.queue.ready, purged.queue.unacked], [0, 1]);
    assert.deepEqual(purged.news().map((text) => text.split(" ").slice(3, 5).join(" ")), [
      "0 0",
      "0 1",
      "0 2",
      "1 1",
    ]);
    const closed = fill();
    closed.consume(0);
    closed.queue.close();
    assert.deepEqual(closed.news().map((text) => text.split(" ").slice(3, 5).join(" ") || text), [
      "0 0",
      "0 1",
      "0 2",
      "1 0",
      "1 1",
      "cancelled",
      "forget",
    ]);
    const { queue } = closed;
    assert.deepEqual([queue.deleted, queue.consumers.size, queue.ready, queue.unacked], [true, 0, 0, 0]);
    // What still comes from channels has no effect.
    queue.settle(1, 0);
    queue.giveBack(1, 0);
    queue.reject(1, 0);
    queue.dispatch();
    assert.deepEqual([closed.news(), queue.lanes[1]!.stateAt(0)], [[], GONE]);
  });

  it("purge - waiting consumers get their messages first", () => {
    const scene = new Scene();
    const { got } = scene.consume(2);
    scene.push(5);
    assert.deepEqual(got, []);
    assert.equal(scene.queue.purge(), 3);
    assert.deepEqual(got, ["0 0", "0 1"]);
    // There is nobody to deliver to, or nothing new.
    scene.push(1);
    scene.queue.catchUp();
    assert.equal(scene.queue.purge(), 1);
  });
});
