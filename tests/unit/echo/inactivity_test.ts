/** The inactivity timer. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { InactivityTimer } from "../../../lib/echo/inactivity.ts";
import { FakeTime } from "../../support/fake_time.ts";
import { deadline } from "../../support/helpers.ts";

describe("echo - inactivity timer", () => {
  it("timer - expires once, and not before the period is over", async () => {
    const started = performance.now();
    let timer!: InactivityTimer;
    await deadline(new Promise<void>((resolve) => timer = new InactivityTimer(30, resolve)));
    assert.ok(performance.now() - started >= 29);
    timer.stop();
  });

  it("timer - a period over the longest timer of the runtime does not expire early", async () => {
    const timer = new InactivityTimer(2 ** 40, () => assert.fail("it expired"));
    // The runtimes run a timer that is too long after 1 ms, so before this one.
    await new Promise((resolve) => setTimeout(resolve, 20));
    timer.stop();
  });

  it("timer - touch starts the period over", () => {
    using time = new FakeTime();
    let expired = 0;
    const timer = new InactivityTimer(100, () => expired++);
    for (let i = 0; i < 5; i++) {
      time.pass(99);
      timer.touch();
    }
    time.pass(99);
    assert.equal(expired, 0);
    time.pass(1);
    assert.equal(expired, 1);
    timer.stop();
  });
});
