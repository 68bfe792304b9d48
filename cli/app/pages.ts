/** The pages of help, made from the definitions of the commands. */
import type { Command, Title } from "./command.ts";
import { EXIT_MEANINGS } from "./errors.ts";
import { type Style, wrap } from "./terminal.ts";

export { pageStyle } from "./terminal.ts";

/** The column in which descriptions begin at the latest, unless the flags themselves are longer. */
const COLUMN = 30;
/** How many lines of examples the short page has at most; the first example is always on it. */
const EXAMPLE_LINES = 14;

/**
 * The page of a command.
 *
 * @param all whether it has the rare options, and all examples
 */
export function commandPage(
  { name, summary }: Title,
  { argument, options, examples }: Command,
  style: Style,
  all: boolean,
): string {
  const { width } = style;
  const usage = `mqcat ${name} [options]${argument === undefined ? "" : ` ${argument[0]}`}`;
  const sections = [`${style.bold("Usage:")} ${usage}`, wrap(summary, width)];
  if (argument !== undefined) sections.push(...table([argument], width));
  const shown = groupsOf(Object.values(options).filter((option) => all || !option.rare));
  for (const [title, rows] of shown) {
    const lines = table(rows.map(({ flags, description }) => [flags, description]), width);
    sections.push([style.bold(`${title}:`), ...lines].join("\n"));
  }
  if (!all) {
    const hidden = groupsOf(Object.values(options).filter(({ rare }) => rare));
    const titles = [...new Set(hidden.map(([title]) => title.replace(/ \(.*/, "")))].join(", ");
    if (titles !== "") {
      sections.push(wrap(`More options and examples (${titles}): mqcat ${name} --help-all`, width));
    }
  }
  sections.push(...cheat(all ? examples : firstExamples(examples), style));
  sections.push(exitCodes(width));
  return sections.join("\n\n");
}

/**
 * The page of all commands, or of a family.
 *
 * @param usage the words after the name of the program, without options
 */
export function overview(
  usage: string,
  about: string,
  commands: readonly Title[],
  footer: string,
  style: Style,
): string {
  const { width, bold } = style;
  const sections = [`${bold("Usage:")} mqcat ${usage} [options]`, wrap(about, width)];
  const column = 2 + Math.max(...commands.map(({ name }) => name.length));
  for (const [title, rows] of groupsOf(commands)) {
    const lines = table(rows.map(({ name, summary }) => [name, summary]), width, column + 2);
    sections.push([bold(`${title}:`), ...lines].join("\n"));
  }
  sections.push(...footer.trimEnd().split("\n\n").map((text) => wrap(text, width)), exitCodes(width));
  return sections.join("\n\n");
}

/** The names of all commands in groups, a line or two for each; those of a family, `queue put`, without its name. */
export function namesPage(commands: readonly Title[], { width, bold }: Style): string {
  const groups = groupsOf(commands);
  const column = 2 + Math.max(...groups.map(([title]) => title.length));
  return groups.map(([title, rows]) => {
    const family = `${title.toLowerCase()} `;
    const names = rows.map(({ name }) => name.startsWith(family) ? name.slice(family.length) : name);
    return `  ${bold(title)}${" ".repeat(column - title.length)}${wrap(names.join(", "), width, column + 2)}`;
  }).join("\n");
}

/** A text of paragraphs, lists, `## headings` and fenced blocks, as the topics of help are. */
export function markdownPage(text: string, { width, bold }: Style): string {
  // A block of text directly after an example is its output.
  const marked = text.trimEnd().replaceAll("```\n```text\n", "```\nIt prints:\n```text\n");
  const parts = marked.split(/^```\w*\n([^]*?)^```$/m);
  const sections = parts.map((part, at) => {
    if (at % 2 === 1) return part.trimEnd().replaceAll(/^(?=.)/gm, "    ");
    return part.trim().split(/\n{2,}/).map((paragraph) => {
      const heading = /^#+ (.*)$/.exec(paragraph)?.[1];
      if (heading !== undefined) return bold(heading);
      return paragraph.split(/\n(?=- )/).map((item) => wrap(item, width, item.startsWith("- ") ? 2 : 0, 0))
        .join("\n");
    }).join("\n\n");
  });
  return sections.filter((section) => section !== "").join("\n\n");
}

/** The meaning of the exit codes, as the last lines of each page. */
function exitCodes(width: number): string {
  const codes = EXIT_MEANINGS.map(([code, meaning]) => `${code} ${meaning}`).join(", ");
  return wrap(`Exit codes: ${codes}.`, width);
}

/** Sorts rows by their groups, in the order of the first row of each. */
function groupsOf<T extends { readonly group: string }>(rows: readonly T[]): [title: string, rows: T[]][] {
  const groups = new Map<string, T[]>();
  for (const row of rows) groups.set(row.group, [...groups.get(row.group) ?? [], row]);
  return [...groups];
}

/** Two columns. A long word on the left moves its description to the right. */
function table(
  rows: readonly (readonly [left: string, right: string])[],
  width: number,
  column = Math.min(COLUMN, 4 + Math.max(...rows.map(([left]) => left.length))),
): string[] {
  const indent = Math.min(column, Math.floor(width / 2));
  return rows.map(([left, right]) => {
    const start = Math.max(indent, left.length + 4);
    const lead = `  ${left}`;
    // A narrow screen has no room beside long flags.
    if (start > width - 20) return `${lead}\n${" ".repeat(indent)}${wrap(right, width, indent)}`;
    return `${lead.padEnd(start)}${wrap(right, width, indent, start)}`;
  });
}

/** The paragraphs of a cheat: prose is wrapped, indented lines (examples and tables) are not changed. */
function cheat(text: string, { width, bold }: Style): string[] {
  return text.trimEnd().split(/\n{2,}/).map((paragraph) => {
    if (paragraph === "Examples:") return bold(paragraph);
    return paragraph.startsWith("  ") ? paragraph : wrap(paragraph, width);
  });
}

/** The examples that fit the short page. An example is a paragraph of prose, and the blocks up to the next one. */
function firstExamples(text: string): string {
  const paragraphs = text.trimEnd().split(/\n{2,}/);
  const examples: string[] = [];
  for (const paragraph of paragraphs.slice(1)) {
    if (/^( {2}|It prints:$)/.test(paragraph) && examples.length > 0) {
      examples.push(`${examples.pop()}\n\n${paragraph}`);
    } else examples.push(paragraph);
  }
  let lines = 0;
  const fits = examples.filter((example, at) => {
    lines += example.split("\n").length + 1;
    return at === 0 || lines <= EXAMPLE_LINES;
  });
  return [paragraphs[0], ...fits].join("\n\n");
}
