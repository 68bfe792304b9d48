/**
 * Draws the results of `deno task bench --json FILE` as an SVG: a bar for each row and each of our programs, its ratio to the
 * peer on a logarithmic scale, with the range of the rounds.
 *
 *   deno task bench:chart RESULTS.json CHART.svg          # all rows, by their names
 *   deno task bench:chart RESULTS.json CHART.svg ROW…     # some rows, by their titles
 */
import fs from "node:fs";
import process from "node:process";
import type { Results, RowResult, SideResult } from "./results.ts";
import { formatRatio } from "./table.ts";

const WIDTH = 900;
/** Where the bars end, in pixels. */
const RIGHT = 820;
const BAR = 11;
const ROW_GAP = 10;
const HEAD = 78;
const COLOURS = ["#4477aa", "#ee7733", "#228833", "#aa3377"];

/** Our programs of a row, each with its ratio. */
type Bars = { readonly row: RowResult; readonly sides: readonly SideResult[] };

/**
 * Renders the chart.
 *
 * @param selected the names of rows, in their order: they are drawn for readers who do not know the benchmark, with their
 *     titles and without goals. Default: all rows
 */
export function renderChart(results: Results, selected: readonly string[] = []): string {
  const { machine, versions, date } = results;
  const isSelection = selected.length > 0;
  const rows = isSelection ? selected.map((name) => rowOf(results, name)) : results.rows;
  const start = isSelection ? 490 : 300;
  const all: Bars[] = rows.map((row) => ({
    row,
    sides: row.sides.filter(({ ratio }) => ratio !== undefined && ratio.low > 0)
      .map(({ target, ...side }) => isSelection || target === undefined ? side : { ...side, target }),
  }));
  const names = [...new Set(all.flatMap(({ sides }) => sides.map(({ name }) => name)))];
  const ratios = all.flatMap(({ sides }) =>
    sides.flatMap(({ ratio, target }) => [ratio!.low, ratio!.high, target ?? 1])
  );
  const low = Math.min(0.5, ...ratios);
  const high = Math.max(2, ...ratios);
  const x = (ratio: number) => start + (RIGHT - start) * Math.log(ratio / low) / Math.log(high / low);
  const parts: string[] = [];
  let y = HEAD;
  for (const { row, sides } of all) {
    const height = sides.length * BAR;
    parts.push(`<g><title>${escaped(row.title)}</title>`);
    parts.push(
      text(
        start - 10,
        y + height / 2 + 4,
        isSelection ? `${row.group}: ${row.title}` : row.name,
        `class="label"`,
        peersOf(sides),
      ),
    );
    for (const [at, side] of sides.entries()) {
      parts.push(bar(side, y + at * BAR, x, COLOURS[names.indexOf(side.name) % COLOURS.length]!));
    }
    parts.push("</g>");
    y += height + ROW_GAP;
  }
  const bottom = y;
  const ticks = ticksBetween(low, high).map((tick) =>
    `<line x1="${x(tick)}" x2="${x(tick)}" y1="${HEAD - 6}" y2="${bottom}" class="${
      tick === 1 ? "one" : "tick"
    }"/>` + text(x(tick), HEAD - 12, formatTick(tick), `class="axis"`)
  );
  const quick = rows.some((row) => row.quick) ? ", reduced work: rough" : "";
  const rounds = Math.max(...rows.map((row) => row.rounds));
  const about = `${date.slice(0, 10)}, ${machine}, Deno ${versions["deno"]}, Bun ${versions["bun"]}${quick}`;
  const legend = names.map((name, at) => {
    const left = start + at * 130;
    return `<rect x="${left}" y="36" width="10" height="10" fill="${COLOURS[at % COLOURS.length]}"/>` +
      text(left + 15, 45, name);
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${
    bottom + 34
  }" viewBox="0 0 ${WIDTH} ${bottom + 34}" role="img" aria-label="Ratios of mqcat to its peers">
<style>
text { font: 12px system-ui, sans-serif; fill: #222 }
.title { font-size: 15px; font-weight: 600 } .label { text-anchor: end } .axis { text-anchor: middle; fill: #666 }
.small { fill: #666; font-size: 11px }
.tick { stroke: #ddd } .one { stroke: #222; stroke-width: 1.5 } .range { stroke: #222; stroke-width: 1 }
.target { stroke: #cc3311; stroke-width: 2 }
</style>
<rect width="100%" height="100%" fill="#fff"/>
${
    text(
      14,
      22,
      isSelection
        ? "mqcat and its peers: times as fast as the peer"
        : "mqcat and its peers: times as fast as the peer (memory: times as small)",
      `class="title"`,
    )
  }
${[...legend, ...ticks, ...parts].join("\n")}
${
    text(
      14,
      bottom + 20,
      `Median of up to ${rounds} rounds in turns, and their range${
        isSelection ? "" : "; red: the goal"
      }. ${about}`,
      `class="small"`,
    )
  }
</svg>
`;
}

function rowOf({ rows }: Results, name: string): RowResult {
  const row = rows.find((row) => row.name === name);
  if (row === undefined) throw new Error(`the results have no row '${name}'`);
  return row;
}

function bar({ ratio, target }: SideResult, y: number, x: (ratio: number) => number, colour: string): string {
  const { median, low, high } = ratio!;
  const from = Math.min(x(1), x(median));
  const width = Math.abs(x(median) - x(1));
  const middle = y + (BAR - 2) / 2;
  return `<rect x="${round(from)}" y="${y}" width="${round(width)}" height="${BAR - 2}" fill="${colour}"/>` +
    `<line x1="${round(x(low))}" x2="${round(x(high))}" y1="${middle}" y2="${middle}" class="range"/>` +
    (target === undefined
      ? ""
      : `<line x1="${round(x(target))}" x2="${round(x(target))}" y1="${y - 1}" y2="${
        y + BAR - 1
      }" class="target"/>`) +
    text(RIGHT + 12, y + BAR - 2, formatRatio(median), `class="small"`);
}

/** 1, 2, 5, 10, … and their inverses. */
function ticksBetween(low: number, high: number): number[] {
  const ticks: number[] = [];
  for (let power = -3; power <= 4; power++) {
    for (const step of high / low > 100 ? [1] : [1, 2, 5]) {
      const tick = Number((step * 10 ** power).toPrecision(1));
      if (tick >= low && tick <= high) ticks.push(tick);
    }
  }
  return ticks;
}

function formatTick(tick: number): string {
  return String(tick);
}

/** @param prefix a text in grey before the content */
function text(x: number, y: number, content: string, attributes = "", prefix = ""): string {
  const more = attributes === "" ? "" : ` ${attributes}`;
  const first = prefix === "" ? "" : `<tspan class="small">${escaped(prefix)} </tspan>`;
  return `<text x="${round(x)}" y="${round(y)}"${more}>${first}${escaped(content)}</text>`;
}

/** The peer of a row: `empty program` of `empty program, Deno`. */
function peersOf(sides: readonly SideResult[]): string {
  return [...new Set(sides.map(({ against }) => against!.split(",")[0]!))].join(", ");
}

function escaped(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

if (import.meta.main) {
  const [from, to, ...rows] = process.argv.slice(2);
  if (from === undefined || to === undefined) {
    console.error("usage: deno task bench:chart RESULTS.json CHART.svg [ROW…]");
    process.exit(2);
  }
  fs.writeFileSync(to, renderChart(JSON.parse(fs.readFileSync(from, "utf8")), rows));
}
