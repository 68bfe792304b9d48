import process from "node:process";
import { messageOf } from "../../lib/errors.ts";
import { hintFor } from "./errors.ts";
import { writeStderr } from "./stderr.ts";

/** How much is said on stderr: only errors, what matters, every event, everything with stack traces. */
export type Verbosity = "quiet" | "normal" | "verbose" | "debug";

const LEVELS = ["quiet", "normal", "verbose", "debug"];
/** The same line is not repeated within so many milliseconds. */
const REPEAT_MS = 10_000;
/** A longer line is cut, in characters. */
const MAX_LINE = 2000;
/** How many different lines are remembered for that. */
const REMEMBERED = 100;

/** Writes what is not payload: lines on stderr, `mqcat: pub: listening on …`, or the same as JSON. */
export class Reporter {
  readonly #command: string;
  readonly #level: number;
  readonly #json: boolean;
  /** The status line that the terminal shows, in characters. */
  #shown = 0;
  readonly #said = new Map<string, number>();

  constructor(command: string, verbosity: Verbosity, format: "text" | "json") {
    this.#command = command;
    this.#level = LEVELS.indexOf(verbosity);
    this.#json = format === "json";
  }

  /** Whether there is a terminal to show a status on, and somebody who wants one. */
  get hasTerminal(): boolean {
    return this.#level >= 1 && !this.#json && process.stderr.isTTY === true && process.env["TERM"] !== "dumb";
  }

  /** Shows a line that the next one takes the place of; an empty one takes it away. */
  status(text: string): void {
    if (!this.hasTerminal || text === "" && this.#shown === 0) return;
    const width = Math.max(20, process.stderr.columns || 80) - 1;
    const line = text === "" ? "" : this.#line(text).slice(0, width);
    const dimmed = isColourful() && line !== "" ? `\x1b[2m${line}\x1b[0m` : line;
    // Blanks, rather than a control sequence, clear what is left of the one before.
    const rest = Math.max(0, this.#shown - line.length);
    writeStderr(`\r${dimmed}${" ".repeat(rest)}${"\b".repeat(rest)}`);
    this.#shown = line.length;
  }

  /** What ended the command, or cost messages. */
  error(error: unknown): void {
    this.#write("error", messageOf(error));
    if (this.#level >= 3 && error instanceof Error) this.#write("debug", describeCauses(error));
  }

  /** What the user should know though the command goes on; a repetition is left out for a while. */
  warn(text: string): void {
    if (this.#level < 1) return;
    const now = performance.now();
    if (now - (this.#said.get(text) ?? -Infinity) < REPEAT_MS) return;
    if (this.#said.size >= REMEMBERED) this.#said.clear();
    this.#said.set(text, now);
    this.#write("warning", text);
  }

  info(text: string): void {
    if (this.#level >= 1) this.#write("info", text);
  }

  verbose(text: string): void {
    if (this.#level >= 2) this.#write("verbose", text);
  }

  /** One line of JSON, whatever the verbosity: it was asked for. */
  summary(values: Record<string, unknown>): void {
    this.status("");
    writeStderr(`${JSON.stringify(values)}\n`);
  }

  #write(level: string, text: string): void {
    this.status("");
    const message = level === "debug" ? text : printable(text);
    if (this.#json) {
      writeStderr(
        `${JSON.stringify({ time: new Date().toISOString(), level, command: this.#command, message })}\n`,
      );
    } else writeStderr(`${this.#line(message)}\n`);
  }

  #line(message: string): string {
    return `mqcat: ${this.#command === "" ? "" : `${this.#command}: `}${message}`;
  }
}

/** Whether stderr may have colours: https://no-color.org, https://force-color.org. */
function isColourful(): boolean {
  const { NO_COLOR = "", FORCE_COLOR = "" } = process.env;
  return FORCE_COLOR === "" ? NO_COLOR === "" : FORCE_COLOR !== "0";
}

/** One line of bounded length without control characters: parts of it may be a stranger's words. */
function printable(text: string): string {
  const safe = text.replaceAll(
    /\p{Cc}/gu,
    (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
  return safe.length > MAX_LINE ? `${safe.slice(0, MAX_LINE)}…` : safe;
}

/** The text of an error in a line of stderr: it begins in lower case, and ends with the options that help. */
export function phrase(error: unknown): string {
  const hint = hintFor(error);
  const text = `${messageOf(error)}${hint === undefined ? "" : ` (${hint})`}`;
  return /^[A-Z][a-z ]/.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text;
}

function describeCauses(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by ${describeCauses(error.cause)}` : "";
  const { message, stack = message } = error;
  // The stack begins with the message, which may have a stranger's words in it.
  return `${stack.replace(message, () => printable(message))}${cause}`;
}
