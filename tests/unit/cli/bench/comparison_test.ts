import assert from "node:assert/strict";
import fs from "node:fs";
import { describe, it } from "node:test";
import { UsageError } from "../../../../cli/app/errors.ts";
import { differences, ratiosTo, readReport } from "../../../../cli/bench/comparison.ts";
import { Histogram } from "../../../../cli/bench/histogram.ts";
import { Meter } from "../../../../cli/bench/meter.ts";
import { renderReport, type Report, reportOf } from "../../../../cli/bench/report.ts";
import { tempDir } from "../../../support/helpers.ts";

const settings = {
  benchmark: "push-pull",
  role: "both",
  size: 100,
  clients: 1,
  rate: null,
  variant: "",
  endpoint: "tcp://127.0.0.1:5555",
};

/** The report of messages that took `ms` milliseconds each. */
function report(messages: number, seconds: number, ms: number): Report {
  const meter = new Meter();
  meter.began = 0;
  meter.count(messages, messages * 100, seconds * 1000);
  const latency = new Histogram();
  latency.record(ms, messages);
  return reportOf(settings, new Date(0), "mqcat", { sent: meter, received: meter, latency });
}

describe("comparison", () => {
  it("comparison - has the ratio of each figure", () => {
    const ratios = ratiosTo(report(300, 1, 2), report(200, 2, 4));
    assert.equal(ratios.get("received.rate"), 3);
    assert.equal(ratios.get("sent.rate"), 3);
    assert.ok(Math.abs(ratios.get("latency.p99")! - 0.5) < 0.01);
    assert.ok(!ratios.has("confirmLatency.p99"));
  });

  it("comparison - names the settings that differ", () => {
    const before = { ...settings, size: 64, variant: "CURVE" };
    assert.deepEqual(differences(settings, before), ["size 100, before 64", "variant none, before CURVE"]);
    assert.deepEqual(differences(settings, settings), []);
  });

  it("comparison - reads the last report of the same benchmark", () => {
    using dir = tempDir();
    const file = dir.file("runs");
    const lines = [report(1, 1, 1), report(2, 1, 1), { ...report(3, 1, 1), benchmark: "req-rep" }];
    fs.writeFileSync(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
    assert.equal(readReport(file, "push-pull").received!.messages, 2);
    assert.throws(() => readReport(file, "pub-sub"), UsageError);
    fs.writeFileSync(file, "not JSON\n");
    assert.throws(() => readReport(file, "push-pull"), /line 1 is not a report of mqcat bench -J/);
  });

  it("report - shows rates, latency in suitable units, and the ratios", () => {
    const now = report(2_000_000, 2, 1.5);
    assert.equal(
      renderReport(now, new Map([["received.rate", 1.25], ["latency.p99", 0.9]])),
      [
        "push-pull, messages of 100 bytes, both sides in this process, tcp://127.0.0.1:5555",
        "  sent       2000000 messages in 2.00 s: 1000000 msgs/s, 100 MB/s",
        "  received   2000000 messages in 2.00 s: 1000000 msgs/s (x1.25), 100 MB/s",
        "  latency    p50 1.5 ms, p90 1.5 ms, p99 1.5 ms (x0.90), p99.9 1.5 ms, max 1.5 ms",
        "",
      ].join("\n"),
    );
  });
});
