/** The lines of `queue top`: a table of queues between a line of totals and a line of keys. */
import { durationText, shortBytes, shortNumber, visible } from "../../app/text.ts";
import type { SortColumn } from "./columns.ts";
import type { QueueSample, Sample, Totals } from "./sample.ts";

/** What the user has chosen. */
export interface View {
  sort: SortColumn;
  ascending: boolean;
  pattern: string;
  /** From 0. */
  page: number;
  frozen: boolean;
  /** What is typed as a new pattern; undefined when nothing is. */
  typing: string | undefined;
}

/** How words stand out. */
export interface Emphasis {
  bold(text: string): string;
  dim(text: string): string;
}

export const PLAIN: Emphasis = { bold: (text) => text, dim: (text) => text };
export const BRIGHT: Emphasis = {
  bold: (text) => `\x1b[1m${text}\x1b[0m`,
  dim: (text) => `\x1b[2m${text}\x1b[0m`,
};

interface Column {
  readonly title: string;
  /** The column to sort by; undefined: none. */
  readonly sort: SortColumn | undefined;
  readonly isText?: boolean;
  /** Which columns a narrow terminal leaves out, the first one first. */
  readonly leftOut?: number;
  cell(queue: QueueSample): string;
}

const rate = (value: number | undefined) => value === undefined ? "-" : shortNumber(value);

const COLUMNS: readonly Column[] = [
  { title: "name", sort: "name", isText: true, cell: ({ name }) => visible(name) },
  { title: "type", sort: undefined, isText: true, leftOut: 2, cell: ({ type }) => type },
  { title: "ready", sort: "ready", cell: ({ ready }) => shortNumber(ready) },
  { title: "unacked", sort: "unacked", cell: ({ unacked }) => shortNumber(unacked) },
  { title: "in/s", sort: "in", cell: (queue) => rate(queue.in) },
  { title: "out/s", sort: "out", cell: ({ out }) => rate(out) },
  { title: "ack/s", sort: "acks", cell: ({ acks }) => rate(acks) },
  { title: "cons", sort: "consumers", cell: ({ consumers }) => shortNumber(consumers) },
  {
    title: "memory",
    sort: "memory",
    leftOut: 1,
    cell: ({ memory }) => memory === undefined ? "-" : shortBytes(memory),
  },
  { title: "oldest", sort: undefined, cell: ({ age }) => age === undefined ? "-" : durationText(age) },
];

const MIN_NAME = 12;
const KEYS = "q quit  </> sort  r reverse  / filter  space freeze  PgUp/PgDn page";

/** The lines above the table: sums, and what needs attention. */
export function totalLines(totals: Totals, { bold }: Emphasis): string[] {
  const { queues, ready, unacked, in: incoming, out, acks, consumers, connections, alarms } = totals;
  const parts = [
    `${queues} ${queues === 1 ? "queue" : "queues"}`,
    `${shortNumber(ready)} ready`,
    `${shortNumber(unacked)} unacked`,
    `${rate(incoming)} in/s`,
    `${rate(out)} out/s`,
    `${rate(acks)} ack/s`,
    ...(consumers === undefined ? [] : [`${consumers} consumers`]),
    ...(connections === undefined ? [] : [`${connections} connections`]),
  ];
  return [parts.join("  "), ...alarms.map((alarm) => bold(`! ${visible(alarm)}`))];
}

/** The table as lines that are at most `width` characters long, `Infinity` for a file. */
export function tableLines(
  queues: readonly QueueSample[],
  view: Pick<View, "sort" | "ascending">,
  width: number,
  { bold }: Emphasis,
  trends?: ReadonlyMap<string, readonly number[]>,
): string[] {
  let columns = COLUMNS;
  let { titles, rows, widths, others } = laidOut(columns, queues, view);
  for (let left = 1; left <= 2 && others + MIN_NAME > width; left++) {
    columns = columns.filter(({ leftOut }) => leftOut !== left);
    ({ titles, rows, widths, others } = laidOut(columns, queues, view));
  }
  const trendWidth = trends === undefined ? 0 : Math.max(0, Math.min(TREND, width - others - MIN_NAME - 2));
  const room = width - others - (trendWidth > 0 ? trendWidth + 2 : 0);
  widths[0] = Math.max(MIN_NAME, Math.min(widths[0]!, room));
  const line = (cells: readonly string[], trend: string) =>
    `${
      cells.map((cell, at) =>
        columns[at]!.isText ? cut(cell, widths[at]!).padEnd(widths[at]!) : cell.padStart(widths[at]!)
      ).join("  ")
    }${trendWidth > 0 ? `  ${trend}` : ""}`.slice(0, width);
  return [
    bold(line(titles, "ready".padEnd(trendWidth))),
    ...rows.map((row, at) => line(row, sparkline(trends?.get(queues[at]!.name) ?? [], trendWidth)).trimEnd()),
  ];
}

/** The cells of the columns, their widths, and the width of all columns but the first. */
function laidOut(
  columns: readonly Column[],
  queues: readonly QueueSample[],
  view: Pick<View, "sort" | "ascending">,
) {
  const titles = columns.map(({ title, sort }) =>
    sort === view.sort ? `${title}${view.ascending ? "↑" : "↓"}` : title
  );
  const rows = queues.map((queue) => columns.map(({ cell }) => cell(queue)));
  const widths = titles.map((title, at) =>
    rows.reduce((most, row) => Math.max(most, row[at]!.length), title.length)
  );
  return { titles, rows, widths, others: widths.slice(1).reduce((sum, width) => sum + 2 + width, 0) };
}

/** All lines of the screen. */
export function screenLines(
  sample: Sample,
  view: View,
  size: { readonly width: number; readonly height: number },
  emphasis: Emphasis,
  trends: ReadonlyMap<string, readonly number[]>,
): string[] {
  const { width, height } = size;
  const { totals, queues } = sample;
  const above = totalLines(totals, emphasis).map((line) => fit(line, width));
  const table = tableLines(queues, view, width, emphasis, trends);
  const lines = [...above, "", ...table].slice(0, height - 1);
  while (lines.length < height - 1) lines.push("");
  const pages = Math.max(1, Math.ceil(totals.queues / Math.max(1, queues.length)));
  const state = [
    ...(pages > 1 ? [`page ${view.page + 1}`] : []),
    ...(view.pattern === "" ? [] : [`filter ${visible(view.pattern)}`]),
    ...(view.frozen ? ["FROZEN"] : []),
  ].map((word) => `${word}  `).join("");
  const prompt = view.typing === undefined ? undefined : `filter, * is any text: ${visible(view.typing)}_`;
  return [...lines, emphasis.dim(fit(prompt ?? `${state}${KEYS}`, width))];
}

const TREND = 20;
const BARS = "▁▂▃▄▅▆▇█";

/** The last values as bars, from zero to the largest of them. */
export function sparkline(values: readonly number[], width: number): string {
  const shown = width > 0 ? values.slice(-width) : [];
  const most = Math.max(1, ...shown);
  return shown.map((value) => BARS[Math.min(7, Math.round(value / most * 7))]).join("").padStart(width);
}

/** Shortens a text, and marks that it was shortened. */
function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}

/** Shortens a line that has nothing but a style around it. */
function fit(line: string, width: number): string {
  // deno-lint-ignore no-control-regex -- the escape of our own style
  const styled = /^(\x1b\[\dm)(.*)(\x1b\[0m)$/.exec(line);
  return styled === null ? cut(line, width) : `${styled[1]}${cut(styled[2]!, width)}${styled[3]}`;
}
