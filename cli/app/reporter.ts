import process from "node:process";
import { messageOf } from "../../lib/errors.ts";
import { FilterError } from "../../lib/filter/filter_error.ts";
import { hintFor } from "./errors.ts";
import { fileReason } from "./file_error.ts";
import { writeStderr } from "./stderr.ts";

/** How much is written to stderr: only errors; also warnings and notes; every event; everything with stack traces. */
export type Verbosity = "quiet" | "normal" | "verbose" | "debug";

const LEVELS = ["quiet", "normal", "verbose", "debug"];
/** The same line is not repeated within this time, in milliseconds. */
const REPEAT_MS = 10_000;
/** The maximum length of a line, in characters. */
const MAX_LINE = 2000;
/** How many different lines are remembered to suppress repetitions. */
const REMEMBERED = 100;

/** What stands on the last line of a terminal, and makes room for what is printed. */
export interface Footer {
  hide(): void;
  /** @param inLine whether what was printed does not end with a newline */
  show(inLine?: boolean): void;
}

/** Writes diagnostics to stderr, as lines `mqcat: pub: listening on …` or as JSON. */
export class Reporter {
  /** The prompt, if there is one: it takes the place of the status line. */
  footer: Footer | undefined;

  readonly #command: string;
  readonly #level: number;
  readonly #json: boolean;
  /** The length of the status line that the terminal shows, in characters. */
  #shown = 0;
  readonly #said = new Map<string, number>();

  constructor(command: string, verbosity: Verbosity, format: "text" | "json") {
    this.#command = command;
    this.#level = LEVELS.indexOf(verbosity);
    this.#json = format === "json";
  }

  /** Whether stderr is a terminal and the verbosity allows a status line. */
  get hasTerminal(): boolean {
    return this.#level >= 1 && !this.#json && process.stderr.isTTY === true && process.env["TERM"] !== "dumb";
  }

  /** Shows a status line, which the next one replaces; an empty one removes it. */
  status(text: string): void {
    if (this.footer !== undefined || !this.hasTerminal || text === "" && this.#shown === 0) return;
    const width = Math.max(20, process.stderr.columns || 80) - 1;
    const line = text === "" ? "" : this.#line(text).slice(0, width);
    const dimmed = isColourful() && line !== "" ? `\x1b[2m${line}\x1b[0m` : line;
    // Spaces, rather than a control sequence, clear the rest of the previous line.
    const rest = Math.max(0, this.#shown - line.length);
    writeStderr(`\r${dimmed}${" ".repeat(rest)}${"\b".repeat(rest)}`);
    this.#shown = line.length;
  }

  /** Reports what ended the command or lost messages. */
  error(error: unknown): void {
    this.#write("error", messageOf(error));
    const cause = error instanceof Error ? error.cause ?? error : error;
    if (cause instanceof FilterError && !this.#json) {
      for (const line of cause.excerpt) this.#write("error", `  ${line}`);
    }
    if (this.#level >= 3 && error instanceof Error) this.#write("debug", describeCauses(error));
  }

  /** Reports a problem although the command continues; repetitions are suppressed for a while. */
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

  /** Reports a frame of a connection, at any verbosity, because it was requested. */
  wire(text: string): void {
    this.#write("wire", text);
  }

  /** Writes one line of JSON at any verbosity, because it was requested. */
  summary(values: Record<string, unknown>): void {
    this.status("");
    this.footer?.hide();
    writeStderr(`${JSON.stringify(values)}\n`);
    this.footer?.show();
  }

  #write(level: string, text: string): void {
    this.status("");
    this.footer?.hide();
    const message = level === "debug" ? text : printable(text);
    if (this.#json) {
      writeStderr(
        `${JSON.stringify({ time: new Date().toISOString(), level, command: this.#command, message })}\n`,
      );
    } else writeStderr(`${this.#line(message)}\n`);
    this.footer?.show();
  }

  #line(message: string): string {
    return `mqcat: ${this.#command === "" ? "" : `${this.#command}: `}${message}`;
  }
}

/** Whether a terminal may show colours: https://no-color.org, https://force-color.org. */
export function isColourful(): boolean {
  const { NO_COLOR = "", FORCE_COLOR = "" } = process.env;
  return FORCE_COLOR === "" ? NO_COLOR === "" : FORCE_COLOR !== "0";
}

/** Makes a text one line of limited length without control characters, because parts of it may come from a peer. */
function printable(text: string): string {
  const safe = text.replaceAll(
    /\p{Cc}/gu,
    (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
  return safe.length > MAX_LINE ? `${safe.slice(0, MAX_LINE)}…` : safe;
}

/** The text of an error for a line on stderr: it starts in lower case, and ends with the options that help. */
export function phrase(error: unknown): string {
  const hint = hintFor(error);
  const text = `${fileReason(error) ?? messageOf(error)}${hint === undefined ? "" : ` (${hint})`}`;
  return /^[A-Z][a-z ]/.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text;
}

function describeCauses(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by ${describeCauses(error.cause)}` : "";
  const { message, stack = message } = error;
  // The stack starts with the message, which may contain text from a peer.
  return `${stack.replace(message, () => printable(message))}${cause}`;
}
