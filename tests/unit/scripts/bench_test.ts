import assert from "node:assert/strict";
import fs from "node:fs";
import { describe, it } from "node:test";
import { renderChart } from "../../../scripts/bench/chart.ts";
import { type Results, save, summarize } from "../../../scripts/bench/results.ts";
import type { Measurement, Row, Side } from "../../../scripts/bench/row.ts";
import { renderRow } from "../../../scripts/bench/table.ts";
import { tempDir } from "../../support/helpers.ts";

const row: Row = {
  name: "push-pull-63",
  title: "63 B lines & <more>",
  unit: "msgs/s",
  needs: [],
  targets: { "Deno": 1.5 },
  sides: () => Promise.resolve([]),
};

/** A side that was measured with these values and CPU times. */
function side(
  name: string,
  against: string | undefined,
  values: number[],
  cpu: number,
): [Side, Measurement[]] {
  const measure = () => Promise.reject(new Error("not measured"));
  return [{ name, against, measure }, values.map((value) => ({ value, cpu, memory: 50 + value }))];
}

const sides = new Map([side("C", undefined, [100, 200, 100], 1), side("Deno", "C", [150, 320, 180], 2)]);

function results(more: Partial<Results> = {}): Results {
  const rows = [summarize("pipelines", row, sides, false)];
  return { date: "2026-11-29T00:00:00Z", machine: "m", versions: { deno: "2", bun: "1" }, rows, ...more };
}

describe("bench", () => {
  it("bench - compares the values of each round, and takes the median of the ratios", () => {
    const [peer, ours] = results().rows[0]!.sides;
    assert.equal(peer!.ratio, undefined);
    assert.deepEqual(ours!.ratio, { median: 1.6, low: 1.5, high: 1.8 });
    assert.deepEqual([ours!.cpuRatio, ours!.memory, ours!.target], [0.5, 370, 1.5]);
  });

  it("bench - a smaller figure is better in milliseconds", () => {
    const { sides: [, ours] } = summarize("start", { ...row, unit: "ms" }, sides, false);
    assert.equal(ours!.ratio!.median, 0.625);
  });

  it("bench - the table shows ratios and whether the target is reached", () => {
    const text = renderRow(results().rows[0]!);
    assert.match(text, /Deno.*ratio 1\.60 \(1\.50 to 1\.80\).*CPU 2\.00 s, ratio 0\.50.*370 MiB.*ok$/m);
  });

  it("bench - the chart has a bar for each of our programs, and escapes titles", () => {
    const svg = renderChart(results());
    assert.match(svg, /<title>63 B lines &amp; &lt;more><\/title>/);
    assert.equal(svg.match(/class="range"/g)?.length, 1);
    assert.doesNotMatch(svg, /NaN|Infinity/);
  });

  it("bench - a chart of some rows has their titles, and no goals", () => {
    const svg = renderChart(results(), ["push-pull-63"]);
    assert.match(svg, />pipelines: 63 B lines &amp; &lt;more></);
    assert.doesNotMatch(svg, /class="target"/);
    assert.match(renderChart(results()), /class="target"/);
    assert.throws(() => renderChart(results(), ["nothing"]), /no row 'nothing'/);
  });

  it("bench - a file keeps the rows that are not measured again, in the order of all rows", () => {
    const dir = tempDir();
    const file = dir.file("results.json");
    const other = { ...results().rows[0]!, name: "echo" };
    const order = ["echo", "push-pull-63"];
    save(file, results(), order);
    save(file, results({ rows: [other] }), order);
    const read: Results = JSON.parse(fs.readFileSync(file, "utf8"));
    assert.deepEqual(read.rows.map(({ name }) => name), order);
    dir.remove();
  });
});
