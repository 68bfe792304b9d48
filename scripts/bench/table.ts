/** The table that the terminal shows. */
import type { RowResult, SideResult } from "./results.ts";
import type { Unit } from "./row.ts";

/** Renders a row: a line for each side, with its ratio to the peer. */
export function renderRow({ name, title, unit, rounds, quick, sides }: RowResult): string {
  const work = quick ? ", reduced work" : "";
  const head = `\n${name}: ${title} (${rounds} ${rounds === 1 ? "round" : "rounds"}${work})`;
  return [head, ...sides.map((side) => renderSide(unit, side, quick))].join("\n");
}

function renderSide(unit: Unit, side: SideResult, quick: boolean): string {
  const columns = [`  ${side.name.padEnd(28)}`, formatValue(unit, side.median).padStart(13)];
  if (side.ratio !== undefined) {
    const { median, low, high } = side.ratio;
    columns.push(`ratio ${formatRatio(median)} (${formatRatio(low)} to ${formatRatio(high)})`.padEnd(30));
  } else columns.push(" ".repeat(30));
  const cpu = side.cpuRatio === undefined ? "" : `, ratio ${formatRatio(side.cpuRatio)}`;
  columns.push((side.cpu === undefined ? "" : `CPU ${side.cpu.toFixed(2)} s${cpu}`).padEnd(25));
  columns.push((side.memory === undefined ? "" : `${side.memory} MiB`).padStart(8));
  // Reduced work is mostly the start of processes.
  if (side.target !== undefined && !quick) {
    columns.push(side.ratio!.median >= side.target ? "ok" : `below ${formatRatio(side.target)}`);
  }
  return columns.join("  ").trimEnd();
}

/** Renders a figure: `4.27 M msgs/s`. */
export function formatValue(unit: Unit, value: number): string {
  if (unit === "msgs/s" && value >= 1e6) return `${(value / 1e6).toFixed(2)} M/s`;
  if (unit === "msgs/s") return `${Math.round(value)} /s`;
  return `${value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${unit}`;
}

/** Two decimals, or none for a large ratio. */
export function formatRatio(ratio: number): string {
  return ratio >= 100 ? ratio.toFixed(0) : ratio.toFixed(2);
}
