/** The inactivity timer. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { InactivityTimer } from "../../../lib/echo/inactivity.ts";
import { deadline, waitFor } from "../../support/helpers.ts";

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
    await new Promise((resolve) => setTimeout(resolve, 20));
    timer.stop();
  });

  it("timer - touch starts the period over", async () => {
    let expired = false;
    const timer = new InactivityTimer(100, () => expired = true);
    const started = performance.now();
    await waitFor(() => {
      timer.touch();
      return performance.now() - started > 250;
    });
    assert.equal(expired, false);
    timer.stop();
  });
});
