import process from "node:process";
import type { Interface } from "node:readline";
import { isTerminal } from "../../lib/transport/runtime/stdout.ts";
import type { Footer } from "../app/reporter.ts";
import type { Session } from "../app/session.ts";
import { writeStderr } from "../app/stderr.ts";
import { type ByteReader, DescriptorReader } from "./descriptor.ts";

/** How many lines the arrow keys bring back. They are not written to disk: messages may be secret. */
const HISTORY = 1000;
/** When so many bytes of typed or pasted lines wait, no more are read. */
const MAX_WAITING = 64 * 1024;

/** Stdin as bytes: on a terminal through a prompt, else as it is. */
export function stdinReader({ reporter }: Session): ByteReader {
  if (!reporter.hasTerminal || !isTerminal(0)) return new DescriptorReader(0);
  const prompt = new Prompt();
  reporter.footer = prompt;
  return prompt;
}

/**
 * The prompt of a terminal. A line can be edited, and earlier lines come back with the arrow keys. What is printed
 * meanwhile appears above the line, which stays whole.
 */
class Prompt implements ByteReader, Footer {
  readonly isFile = false;

  #interface: Interface | undefined;
  /** The lines that were typed and not yet read. */
  readonly #lines: Uint8Array[] = [];
  #waiting = 0;
  #wanted: ((count: number) => void) | undefined;
  #target: Uint8Array = new Uint8Array(0);
  #ended = false;
  #hidden = false;

  read(buffer: Uint8Array, from: number, to: number): number | Promise<number> {
    this.#target = buffer.subarray(from, to);
    if (this.#lines.length > 0) return this.#take();
    if (this.#ended) return 0;
    return new Promise((resolve) => {
      this.#wanted = resolve;
      if (this.#interface === undefined) this.#interface = this.#open();
      else this.#interface.resume();
    });
  }

  cancel(): void {
    this.#interface?.close();
    this.#end();
  }

  hide(): void {
    const rl = this.#interface;
    if (rl === undefined || this.#ended || this.#hidden) return;
    const { rows } = rl.getCursorPos();
    writeStderr(`\r${rows > 0 ? `\x1b[${rows}A` : ""}\x1b[J`);
    // The next refresh starts where the cursor is now.
    (rl as { prevRows?: number }).prevRows = 0;
    this.#hidden = true;
  }

  show(inLine = false): void {
    if (!this.#hidden) return;
    this.#hidden = false;
    if (inLine) writeStderr("\n");
    if (!this.#ended) this.#interface?.prompt(true);
  }

  #open(): Interface {
    // Only a terminal needs these modules, which take their time to load.
    const { createInterface } = process.getBuiltinModule("node:readline");
    const { Writable } = process.getBuiltinModule("node:stream");
    const output = Object.assign(
      new Writable({
        decodeStrings: false,
        write: (text, _encoding, done) => {
          if (!this.#hidden) writeStderr(String(text));
          done();
        },
      }),
      { isTTY: true, columns: process.stderr.columns || 80 },
    );
    process.stderr.on("resize", () => {
      output.columns = process.stderr.columns || 80;
      output.emit("resize");
    });
    const rl = createInterface({
      input: process.stdin,
      output,
      terminal: true,
      prompt: "> ",
      historySize: HISTORY,
    });
    rl.on("line", (line) => this.#add(line));
    // In the raw mode of the terminal Ctrl-C is only a character.
    rl.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
    // After a suspension (Ctrl-Z) the interface is paused until it prompts.
    rl.on("SIGCONT", () => rl.prompt(true));
    rl.on("close", () => this.#end());
    process.on("exit", () => rl.close());
    rl.prompt();
    return rl;
  }

  #add(line: string): void {
    const bytes = new TextEncoder().encode(`${line}\n`);
    this.#lines.push(bytes);
    this.#waiting += bytes.length;
    if (this.#waiting > MAX_WAITING) this.#interface?.pause();
    this.#answer();
    this.#interface?.prompt();
  }

  #end(): void {
    if (this.#ended) return;
    this.hide();
    this.#ended = true;
    this.#answer();
  }

  #answer(): void {
    const wanted = this.#wanted;
    if (wanted === undefined) return;
    this.#wanted = undefined;
    wanted(this.#take());
  }

  /** Moves as many bytes as fit to the target. */
  #take(): number {
    let count = 0;
    while (this.#lines.length > 0 && count < this.#target.length) {
      const line = this.#lines[0]!;
      const part = line.subarray(0, this.#target.length - count);
      this.#target.set(part, count);
      count += part.length;
      if (part.length < line.length) this.#lines[0] = line.subarray(part.length);
      else this.#lines.shift();
    }
    this.#waiting -= count;
    return count;
  }
}
