import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Session } from "../../../../cli/app/session.ts";
import { Schedule } from "../../../../cli/bench/schedule.ts";

/** The schedule uses these members only. */
const session = {
  stopping: false,
  sleep: (ms: number) => new Promise((resolve) => setTimeout(resolve, ms)),
} as unknown as Session;

describe("schedule", () => {
  it("schedule - without a rate all messages are due at once", () => {
    const schedule = new Schedule(session, { count: 10 }, performance.now());
    assert.equal(schedule.due(performance.now()), 10);
    schedule.sent = 10;
    assert.ok(schedule.over);
  });

  it("schedule - a rate gives each message a time, and makes up for a stall", () => {
    const start = performance.now();
    const schedule = new Schedule(session, { rate: 1000 }, start);
    assert.equal(schedule.due(start), 1);
    schedule.sent = 1;
    assert.equal(schedule.due(start + 0.5), 0);
    // After a stall of 100 ms the missed messages are due; their times stay as intended.
    assert.equal(schedule.due(start + 100.5), 100);
    assert.equal(schedule.intended(1), start + 1);
  });

  it("schedule - several senders share the count and the rate, and take turns", () => {
    const shared = [0, 1, 2].map((index) => new Schedule(session, { count: 8, rate: 30 }, 0, index, 3));
    assert.deepEqual(shared.map((schedule) => schedule.due(Infinity)), [3, 3, 2]);
    const times = shared.map((schedule) => Math.round(schedule.intended(1)));
    assert.deepEqual(times, [100, 133, 167]);
  });

  it("schedule - a wait ends when the next message is due", async () => {
    const start = performance.now();
    const schedule = new Schedule(session, { rate: 100 }, start);
    schedule.sent = 2;
    await schedule.wait();
    assert.ok(performance.now() >= start + 20);
    assert.ok(schedule.due(performance.now()) >= 1);
  });
});
