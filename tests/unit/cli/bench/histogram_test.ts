import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Histogram } from "../../../../cli/bench/histogram.ts";

describe("histogram", () => {
  it("histogram - percentiles are within 1 % of the exact values, from microseconds to minutes", () => {
    for (const scale of [1e-3, 1e-2, 1, 100, 2000]) {
      const histogram = new Histogram();
      for (let i = 1; i <= 1000; i++) histogram.record(i * scale / 10);
      for (const percentage of [50, 90, 99, 99.9, 100]) {
        const exact = Math.ceil(percentage * 10) * scale / 10;
        const found = histogram.percentile(percentage);
        // The unit is 100 ns.
        assert.ok(
          Math.abs(found - exact) <= exact * 0.01 + 1e-4,
          `p${percentage} of ${scale}: ${found}, ${exact}`,
        );
      }
    }
  });

  it("histogram - the figures are in microseconds, and the largest is exact", () => {
    const histogram = new Histogram();
    histogram.record(1, 999);
    histogram.record(12.3456);
    assert.deepEqual(histogram.summary(), {
      unit: "us",
      count: 1000,
      min: 1000,
      mean: 1011.3,
      p50: 1004.7,
      p90: 1004.7,
      p99: 1004.7,
      p999: 1004.7,
      max: 12345.6,
    });
    assert.deepEqual(histogram.buckets(), [[1004.7, 999], [12390.3, 1]]);
  });

  it("histogram - has no figures without values", () => {
    assert.equal(new Histogram().summary(), undefined);
    assert.equal(new Histogram().percentile(99), 0);
  });

  it("histogram - times below 0 and of hours are counted", () => {
    const histogram = new Histogram();
    histogram.record(-5);
    histogram.record(3_600_000);
    const { count, min, max } = histogram.summary()!;
    assert.deepEqual([count, min, max], [2, 0, 3_600_000_000]);
  });

  it("histogram - the sum of two is that of their values", () => {
    const [one, both] = [new Histogram(), new Histogram()];
    for (let i = 0; i < 100; i++) (i % 2 === 0 ? one : both).record(i);
    both.add(one);
    assert.equal(both.count, 100);
    assert.ok(Math.abs(both.percentile(50) - 49) < 1);
  });
});
