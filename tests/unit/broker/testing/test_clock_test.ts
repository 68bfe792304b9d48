import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TestClock } from "../../../../lib/broker/testing/test_clock.ts";
import { waitFor } from "../../../support/helpers.ts";

describe("TestClock", () => {
  it("advance - fires timers in order, each at its time; timers that they set fire, too", () => {
    const clock = new TestClock({ start: 1000 });
    const fired: string[] = [];
    const at = (name: string, ms: number) => clock.setTimeout(() => fired.push(`${name}@${clock.now()}`), ms);
    at("late", 50);
    at("early", 10);
    clock.setTimeout(() => at("nested", 5), 20);
    const cancelled = at("cancelled", 30);
    clock.clearTimeout(cancelled);
    clock.clearTimeout(undefined);
    clock.advance(9);
    assert.deepEqual(fired, []);
    clock.advance(91);
    assert.deepEqual(fired, ["early@1010", "nested@1025", "late@1050"]);
    assert.equal(clock.now(), 1100);
    clock.advance(0);
    assert.equal(clock.monotonic(), 1100);
  });

  it("advance - a regular timer fires once, as after a suspension, and goes on", () => {
    const clock = new TestClock({ start: 0 });
    let count = 0;
    const timer = clock.setInterval(() => count++, 10);
    clock.advance(1000);
    assert.equal(count, 1);
    clock.advance(10);
    assert.equal(count, 2);
    clock.clearInterval(timer);
    clock.advance(1000);
    assert.equal(count, 2);
  });

  it("advance - refuses to go back", () => {
    for (const ms of [-1, NaN, Infinity]) assert.throws(() => new TestClock().advance(ms), /Cannot advance/);
  });

  it("running - passes by itself, and advances", async () => {
    const clock = new TestClock({ running: true });
    let fired = 0;
    clock.setTimeout(() => fired++, 20);
    clock.setTimeout(() => fired += 10, 3_600_000);
    await waitFor(() => fired === 1);
    const before = clock.now();
    clock.advance(3_600_000);
    assert.equal(fired, 11);
    assert.ok(clock.now() >= before + 3_600_000);
    let beats = 0;
    const timer = clock.setInterval(() => beats++, 5);
    await waitFor(() => beats >= 2);
    clock.clearInterval(timer);
  });
});
