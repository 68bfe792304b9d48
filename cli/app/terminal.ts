/** The terminal, as far as texts need it: its width, and whether they may have colours and bold words. */
import process from "node:process";
import tty from "node:tty";
import { isColourful } from "./reporter.ts";

/** The width of texts if it is not known, and the limits of a width that is: long lines are hard to read. */
const WIDTH = 80;
const NARROWEST = 40;
const WIDEST = 110;

/** How a page is laid out. */
export interface Style {
  /** In characters. */
  readonly width: number;
  bold(text: string): string;
}

/** The style of pages on stdout or stderr: that of `$COLUMNS`, else of the terminal. */
export function pageStyle(stream: "stdout" | "stderr"): Style {
  const isTerminal = tty.isatty(stream === "stdout" ? 1 : 2);
  const known = Number(process.env["COLUMNS"]) || isTerminal && process[stream].columns || WIDTH;
  const { FORCE_COLOR = "", TERM } = process.env;
  const isBold = isColourful() && TERM !== "dumb" && (isTerminal || FORCE_COLOR !== "");
  return {
    width: Math.max(NARROWEST, Math.min(WIDEST, known)),
    bold: isBold ? (text) => `\x1b[1m${text}\x1b[0m` : (text) => text,
  };
}

/**
 * Breaks a text into lines at its spaces.
 *
 * @param indent the spaces before each line but the first
 * @param used the width that the first line has already used
 */
export function wrap(text: string, width: number, indent = 0, used = indent): string {
  const lines: string[] = [];
  let line = "";
  let room = width - used;
  for (const word of text.split(/\s+/)) {
    if (line !== "" && line.length + 1 + word.length > room) {
      lines.push(line);
      line = "";
      room = width - indent;
    }
    line += line === "" ? word : ` ${word}`;
  }
  return [...lines, line].join(`\n${" ".repeat(indent)}`);
}
