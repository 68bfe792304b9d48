/** How the journal keeps to its space: when its memory counts as full, and which segments are compacted, in which order. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe, it } from "node:test";
import { tempDir, waitFor } from "../../../../support/helpers.ts";
import { JournalModel, QUEUES } from "../../../../support/journal_model.ts";

const [A, B, C] = QUEUES as [number, number, number, number];

/** Waits for the timers that were set before, of up to 3 ms: the first step of a compaction, for example. */
const earlierTimers = () => new Promise((resolve) => setTimeout(resolve, 3));

/** Publishes messages of 200 bytes. @returns their sequence numbers */
function publish(model: JournalModel, id: number, count: number, durable = true): number[] {
  const { nextSeq } = model.lanes.get(id)!;
  for (let i = 0; i < count; i++) model.publish(`${i} `.padEnd(200, "x"), [id], durable);
  return Array.from({ length: count }, (_, i) => nextSeq + i);
}

describe("journal, space", () => {
  it("memory - is full beyond its limit, and scarce beyond seven eighths of it", () => {
    const model = new JournalModel({ memorySize: 8192, segmentSize: 1024 });
    const { journal } = model;
    const states: [size: number, scarce: boolean, full: boolean][] = [];
    for (let i = 0; i < 10; i++) {
      // Each takes a segment.
      model.publish("x".repeat(800), [A]);
      states.push([journal.memorySize, journal.memoryScarce, journal.memoryFull]);
    }
    const sizes = Array.from({ length: 10 }, (_, i) => 1024 * (i + 1));
    assert.deepEqual(states, sizes.map((size) => [size, size > 7168, size > 8192]));
    // It is free again in the same steps.
    for (let seq = 0; seq < 9; seq++) {
      model.settle(A, seq);
      const size = 1024 * (9 - seq);
      assert.deepEqual([journal.memorySize, journal.memoryScarce, journal.memoryFull], [
        size,
        size > 7168,
        size > 8192,
      ]);
    }
    model.check();
    journal.close();
  });

  it("memory - with a directory it is full only while its messages cannot be written to files", () => {
    using dir = tempDir();
    const directory = dir.file("data");
    const model = new JournalModel({ directory, sync: "flush", memorySize: 8192, segmentSize: 1024 });
    const { journal } = model;
    const add = () => {
      for (let i = 0; i < 20; i++) model.publish("x".repeat(800), [A], false);
    };
    add();
    assert.deepEqual([journal.memoryFull, journal.memoryScarce], [false, false]);
    model.flush();
    assert.equal(journal.memorySize, 8192);
    const { openSync } = fs;
    Object.assign(fs, {
      openSync: (...args: Parameters<typeof openSync>) => {
        if (/transient/.test(String(args[0]))) throw new Error("no space");
        return openSync(...args);
      },
    });
    try {
      add();
      model.flush();
      assert.deepEqual([journal.memoryFull, journal.memoryScarce], [true, true]);
    } finally {
      Object.assign(fs, { openSync });
    }
    model.flush();
    assert.deepEqual([journal.memoryFull, journal.memoryScarce, journal.memorySize], [false, false, 8192]);
    model.check();
    journal.close();
  });

  for (const where of ["on disk", "in memory"] as const) {
    const durable = where === "on disk";

    it(`compaction - takes the emptiest segment first, and none with one large message or half of its messages, ${where}`, async () => {
      using dir = tempDir();
      const directory = durable ? dir.file("data") : undefined;
      const model = new JournalModel({
        directory,
        sync: "flush",
        segmentSize: 4096,
        cacheSize: 0,
        garbageSize: 6000,
        memorySize: 1e6,
      });
      const lane = model.lanes.get(A)!;
      const all = publish(model, A, 60);
      const [first, second, third] = [0, 1, 2].map((i) =>
        all.filter((seq) => lane.segmentAt(seq) === lane.segmentAt(0) + i)
      ) as [number[], number[], number[]];
      const others = all.filter((seq) => lane.segmentAt(seq) > lane.segmentAt(0) + 2);
      model.publish("y".repeat(9000), [A, B, C]);
      const large = lane.nextSeq - 1;
      // More than half, three, one; nothing of the other small ones.
      const kept = [...first.slice(-10), ...second.slice(-3), ...third.slice(-1)];
      publish(model, C, 1);
      model.flush();
      for (const seq of all) if (!kept.includes(seq)) model.settle(A, seq);
      for (const id of [B, C]) model.settle(id, 0);
      assert.ok(others.length > 0);
      const before = new Map([...kept, large].map((seq) => [seq, lane.segmentAt(seq)]));
      const moved = (seq: number) => lane.segmentAt(seq) !== before.get(seq);
      await waitFor(() => {
        model.flush();
        return second.slice(-3).every(moved);
      });
      for (let i = 0; i < 5; i++) {
        model.flush();
        await earlierTimers();
      }
      assert.deepEqual(kept.filter(moved), [...second.slice(-3), ...third.slice(-1)]);
      assert.equal(moved(large), false);
      // What was copied first comes first.
      const places = [...third.slice(-1), ...second.slice(-3)].map((seq) =>
        lane.segmentAt(seq) * 2 ** 20 + lane.offsetAt(seq)
      );
      assert.deepEqual(places, [...places].sort((a, b) => a - b));
      model.check();
      // With less than half of its messages, and more garbage than at the last search, the first one is next.
      for (const seq of first.slice(-10, -1)) model.settle(A, seq);
      for (const seq of publish(model, B, 60)) if (seq % 12 > 0) model.settle(B, seq);
      await waitFor(() => {
        model.flush();
        return moved(first.at(-1)!);
      });
      model.check();
      if (durable) model.restart();
      model.journal.close();
    });
  }

  it("compaction - does not begin in memory because of messages whose segments are gone", async () => {
    const model = new JournalModel({ segmentSize: 4096, garbageSize: 12_000, memorySize: 1e6 });
    const lane = model.lanes.get(A)!;
    for (const seq of publish(model, A, 20)) if (seq !== 5) model.settle(A, seq);
    const at = lane.segmentAt(5);
    for (let i = 0; i < 40; i++) {
      for (const seq of publish(model, B, 15)) model.settle(B, seq);
      model.flush();
      if (i % 10 === 9) await earlierTimers();
    }
    assert.equal(lane.segmentAt(5), at);
    // With enough garbage it does.
    for (const seq of publish(model, A, 100)) if (seq % 15 > 0) model.settle(A, seq);
    await waitFor(() => {
      model.flush();
      return lane.segmentAt(5) !== at;
    });
    model.check();
    model.journal.close();
  });
});
