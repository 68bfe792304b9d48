/** The pauses before messages are published again. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AwayError } from "../../../lib/link/away.ts";
import { patiently } from "../../../lib/link/dial.ts";
import { Retry } from "../../../lib/link/retry.ts";
import { deadline } from "../../support/helpers.ts";
import { FakeConnection } from "./fake_protocol.ts";

const away = () => Promise.reject(new AwayError("away"));

/** Lets the random part of each pause make it `factor` of its longest form, for the time of `work`. */
async function withPauses<T>(random: number, work: () => Promise<T>): Promise<T> {
  const original = Math.random;
  Math.random = () => random;
  try {
    return await work();
  } finally {
    Math.random = original;
  }
}

/** Between 0 and 1, a pause of a retry is at least half of its longest form. This makes it `factor` of that. */
const scale = (factor: number) => 2 * factor - 1;

describe("retry", () => {
  it("pause - grows up to five seconds, and an answer that it is away is reported each time", async () => {
    let reports = 0;
    const retry = new Retry<FakeConnection>({ prepare: away }, () => reports++);
    const began = performance.now();
    // Each pause takes a hundredth of its time: 0.25 s in all. Without a limit the last one alone would be 25 s.
    await withPauses(scale(0.01), async () => {
      for (let i = 0; i < 10; i++) {
        assert.equal(await deadline(retry.isReady(new FakeConnection()), 5000), false);
      }
    });
    assert.equal(reports, 10);
    assert.ok(performance.now() - began >= 200);
  });

  it("pause - is short again when as many messages were accepted as wait, since the last pause", async () => {
    const cases: [before: number, acknowledged: number, pending: number, isShort: boolean][] = [
      [0, 9, 10, false],
      [0, 10, 10, true],
      [5, 14, 10, false],
      [5, 15, 10, true],
      [0, 0, 0, true],
    ];
    const connection = new FakeConnection();
    const retries = cases.map(([before]) => {
      const retry = new Retry<FakeConnection>({ prepare: away }, () => {});
      retry.measure(before, Infinity);
      return retry;
    });
    await withPauses(scale(0), async () => {
      for (let i = 0; i < 7; i++) await Promise.all(retries.map((retry) => retry.isReady(connection)));
    });
    // A tenth of 100 or of 5000 ms.
    await withPauses(
      scale(0.1),
      () =>
        Promise.all(cases.map(async ([, acknowledged, pending, isShort], i) => {
          retries[i]!.measure(acknowledged, pending);
          const began = performance.now();
          await retries[i]!.isReady(connection);
          const took = performance.now() - began;
          assert.equal(took < 450, isShort, `${cases[i]}: ${took} ms`);
        })),
    );
  });

  it("patience - the pauses before another look for what is away grow up to two seconds", async () => {
    let left = 12;
    const work = () => --left > 0 ? Promise.reject(new AwayError("away")) : Promise.resolve("there");
    const began = performance.now();
    // A hundredth of each pause: 0.15 s in all. Without a limit the last one alone would be 20 s.
    const found = await withPauses(
      0.01,
      () => deadline(patiently({ patience: 60_000 }, () => false, work), 5000),
    );
    assert.equal(found, "there");
    assert.ok(performance.now() - began >= 130);
  });
});
