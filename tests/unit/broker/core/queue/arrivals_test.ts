import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Arrivals } from "../../../../../lib/broker/core/queue/arrivals.ts";

describe("arrivals", () => {
  it("of - is the time of a message to within a second; earlier messages are older than the first one", () => {
    const arrivals = new Arrivals(1000);
    assert.deepEqual(arrivals.of(7), { time: 1000, isExact: false });
    arrivals.note(8, 5000, () => 8);
    arrivals.note(9, 5999, () => 8);
    arrivals.note(10, 6000, () => 8);
    assert.deepEqual([7, 8, 9, 10, 99].map((seq) => arrivals.of(seq)), [
      { time: 5000, isExact: false },
      { time: 5000, isExact: true },
      { time: 5000, isExact: true },
      { time: 6000, isExact: true },
      { time: 6000, isExact: true },
    ]);
  });

  it("of - stays accurate with a limited number of marks, in a short queue and in a long one", () => {
    const short = new Arrivals(0);
    const long = new Arrivals(0);
    const count = 50_000;
    for (let seq = 1; seq <= count; seq++) {
      short.note(seq, seq * 1000, () => seq - 10);
      long.note(seq, seq * 1000, () => 1);
    }
    assert.equal(short.of(count - 9).time, (count - 9) * 1000);
    for (const seq of [1, 10_000, 25_000, count]) {
      const { time, isExact } = long.of(seq);
      assert.ok(isExact && Math.abs(time - seq * 1000) <= count, `${seq}: ${time}`);
    }
  });
});
