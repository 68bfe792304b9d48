/** What a queue does at each of its limits. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { FieldTable } from "../../../../../lib/amqp/types/field_value.ts";
import { Queue } from "../../../../../lib/broker/core/queue/queue.ts";
import { Scene } from "./scene.ts";

describe("queue, limits", () => {
  it("room - to the message and to the byte, of the ready ones only", () => {
    const cases: [args: FieldTable, ready: number, size: number, more: number, expected: boolean][] = [
      [{ "x-max-length": 3 }, 2, 1, 1, true],
      [{ "x-max-length": 3 }, 3, 1, 1, false],
      [{ "x-max-length": 0 }, 0, 1, 1, false],
      [{ "x-max-length-bytes": 10 }, 1, 4, 6, true],
      [{ "x-max-length-bytes": 10 }, 1, 4, 7, false],
      [{ "x-max-length-bytes": 0 }, 0, 1, 0, true],
      [{ "x-max-length": 2, "x-max-length-bytes": 10 }, 1, 4, 7, false],
      [{ "x-max-length": 1, "x-max-length-bytes": 10 }, 1, 1, 1, false],
      [{ "x-max-length": 2, "x-max-length-bytes": 10 }, 1, 4, 6, true],
      [{}, 5, 1, 1e12, true],
    ];
    for (const [args, ready, size, more, expected] of cases) {
      for (const overflow of ["reject-publish", "reject-publish-dlx", "drop-head"]) {
        const scene = new Scene({ arguments: { ...args, "x-overflow": overflow } });
        // Unacknowledged messages need no room.
        scene.push(1, { size });
        if (scene.queue.ready > 0) scene.queue.take();
        scene.push(ready, { size });
        const what = `${JSON.stringify(args)} ${overflow} ${more}`;
        assert.equal(scene.queue.hasRoomFor(more), expected || overflow === "drop-head", what);
      }
    }
  });

  it("drop-head - the first messages go until the rest has room, also after one that comes back", () => {
    const scene = new Scene({
      arguments: { "x-max-length-bytes": 10, "x-max-priority": 1, "x-dead-letter-exchange": "d" },
    });
    const { queue } = scene;
    scene.push(3, { size: 3 });
    assert.deepEqual([queue.readyBytes, scene.news()], [9, []]);
    scene.push(1, { size: 1 });
    assert.deepEqual([queue.readyBytes, scene.news()], [10, []]);
    scene.push(1, { size: 4 });
    assert.deepEqual(scene.news().filter((text) => text.startsWith("dead")), [
      "dead maxlen 0 0",
      "dead maxlen 0 1",
    ]);
    assert.deepEqual([queue.ready, queue.readyBytes, queue.stats.overflowed], [3, 8, 2]);
    queue.take();
    scene.push(2, { size: 2 });
    assert.deepEqual([queue.readyBytes, queue.unackedBytes, scene.news()], [9, 3, []]);
    queue.giveBack(0, 2);
    assert.deepEqual(scene.news(), ["dead maxlen 0 2", "settle 3 7 0 2 3 false"]);
    // The lane of the highest priority is the first.
    scene.push(1, { lane: 1, size: 2 });
    assert.deepEqual(scene.news(), ["dead maxlen 1 0", "settle 3 7 1 0 2 false"]);
  });

  it("reject-publish - a message that comes back drops none, though the queue is over its limit", () => {
    const scene = new Scene({
      arguments: { "x-max-length": 2, "x-overflow": "reject-publish", "x-dead-letter-exchange": "d" },
    });
    const { queue } = scene;
    scene.push(2);
    queue.take();
    scene.push(1);
    queue.giveBack(0, 0);
    assert.deepEqual([queue.ready, scene.news()], [3, []]);
    assert.ok(queue.awake);
    assert.equal(queue.lanes[0]!.isRedelivered(0), true);
  });

  it("policies - new limits take effect at once on what is there, and the same ones change nothing", () => {
    const scene = new Scene();
    const { queue } = scene;
    const policies = (definition: Record<string, unknown>) =>
      ({ policy: undefined, operatorPolicy: undefined, definition }) as Parameters<Queue["setPolicies"]>[0];
    scene.push(5);
    queue.setPolicies(policies({ "max-length": 5 }));
    assert.deepEqual([queue.ready, queue.settings.maxLength], [5, 5]);
    queue.setPolicies(policies({ "max-length": 3, overflow: "reject-publish" }));
    assert.equal(queue.ready, 5);
    const three = policies({ "max-length": 3 });
    queue.setPolicies(three);
    assert.equal(queue.ready, 3);
    const { settings } = queue;
    queue.setPolicies(three);
    assert.equal(queue.settings, settings);
    queue.setPolicies(undefined);
    assert.equal(queue.settings.maxLength, Infinity);
  });
});
