/** The signal that waits share, and its timer. */
import assert from "node:assert/strict";
import process from "node:process";
import { describe, it } from "node:test";
import { Signal } from "../../../lib/transport/waiting.ts";
import { deadline } from "../../support/helpers.ts";

describe("signal", () => {
  it("wait - a limit that is over, or almost, resolves at once and causes no warning on stderr", async () => {
    const warnings: string[] = [];
    const note = ({ message }: Error) => void warnings.push(message);
    process.on("warning", note);
    try {
      for (const ms of [0, -5, 1e-9]) {
        for (let i = 0; i < 20; i++) await deadline(new Signal().wait(ms));
      }
    } finally {
      process.off("warning", note);
    }
    assert.deepEqual(warnings, []);
  });

  it("wait - resolves at its limit, whatever limits earlier waits had", async () => {
    for (const earlier of [0, 1, 5, 60_000, Infinity]) {
      for (const fires of [true, false]) {
        const signal = new Signal();
        const before = signal.wait(earlier);
        if (fires) signal.fire();
        const start = performance.now();
        let rounds = 0;
        for (let left = 20; left > 0; left = start + 20 - performance.now(), rounds++) {
          await deadline(signal.wait(left));
        }
        assert.ok(rounds < 10, `${rounds} waits`);
        await deadline(before);
      }
    }
  });
});
