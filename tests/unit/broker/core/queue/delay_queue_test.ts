/** A queue that holds the messages of an exchange until they are due. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DAY, LONGEST, Scene, START } from "./scene.ts";

describe("queue of delayed messages", () => {
  const forwarded = (scene: Scene) => scene.news().filter((text) => text.startsWith("forward"));

  it("delays - one timer for the message that is due first, and the order of the due times", () => {
    const scene = new Scene({ delays: true });
    for (const ms of [500, 300, 300, 400, 0]) scene.delay(ms);
    assert.deepEqual(scene.waits, [500, 300, 0]);
    scene.advance(0);
    assert.deepEqual([forwarded(scene), scene.waits.splice(0)], [["forward 4"], [500, 300, 0, 300]]);
    scene.advance(299);
    assert.deepEqual(forwarded(scene), []);
    scene.advance(1);
    assert.deepEqual([forwarded(scene), scene.waits.splice(0)], [["forward 1", "forward 2"], [100]]);
    // A later one needs no other timer.
    scene.delay(1000);
    assert.deepEqual(scene.waits.splice(0), []);
    scene.advance(200);
    assert.deepEqual([forwarded(scene), scene.waits.splice(0)], [["forward 3", "forward 0"], [100, 800]]);
    scene.advance(800);
    assert.deepEqual([forwarded(scene), scene.waits, scene.queue.ready], [["forward 5"], [], 0]);
  });

  it("delays - a forwarded message is settled, also one that cannot be read", () => {
    for (const replaces of [true, false]) {
      const scene = new Scene({ delays: true, replaces });
      scene.damaged.add(0);
      scene.delay(1);
      scene.delay(2);
      scene.advance(2);
      assert.deepEqual(scene.news(), ["settle 3 7 0 0 1 false", "forward 1", `settle 3 7 0 1 1 ${replaces}`]);
    }
  });

  it("delays - at most a thousand messages at once, and the others directly after them", () => {
    const scene = new Scene({ delays: true });
    for (let i = 0; i < 2001; i++) scene.delay(5);
    const counts: number[] = [];
    const { end } = scene.cycle;
    scene.cycle.end = () => {
      end();
      counts.push(forwarded(scene).length);
    };
    scene.advance(5);
    assert.deepEqual([counts, scene.queue.ready], [[1000, 1000, 1], 0]);
  });

  it("delays - a broker that takes no messages is tried again each second", () => {
    const scene = new Scene({ delays: true });
    scene.delay(10);
    scene.blocked = "a test";
    scene.advance(10);
    assert.deepEqual([scene.news(), scene.waits.splice(0)], [[], [10, 1000]]);
    scene.advance(1000);
    assert.deepEqual([scene.news(), scene.waits.splice(0)], [[], [1000]]);
    scene.blocked = undefined;
    scene.advance(999);
    assert.deepEqual(forwarded(scene), []);
    scene.advance(1);
    assert.deepEqual([forwarded(scene), scene.waits], [["forward 0"], []]);
  });

  it("delays - messages of the journal, those that are far away, and none after the end", () => {
    const scene = new Scene({ delays: true });
    const lane = scene.queue.lanes[0]!;
    for (const [seq, due] of [[0, START + 700], [2, START - 5], [3, START + 30 * DAY]] as const) {
      lane.restore(seq, 1, 1, 1, due);
    }
    scene.queue.recovered();
    assert.deepEqual(scene.waits.splice(0), [0]);
    scene.advance(0);
    assert.deepEqual([forwarded(scene), scene.waits.splice(0)], [["forward 2"], [700]]);
    scene.advance(700);
    assert.deepEqual([forwarded(scene), scene.waits.splice(0)], [["forward 0"], [LONGEST]]);
    scene.advance(LONGEST);
    assert.deepEqual([forwarded(scene), scene.waits.splice(0)], [[], [30 * DAY - 700 - LONGEST]]);
    scene.queue.dispatch();
    scene.queue.close();
    scene.delay(0);
    scene.advance(60 * DAY);
    assert.deepEqual([forwarded(scene), scene.waits], [[], []]);
  });
});
