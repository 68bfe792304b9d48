import fs from "node:fs";
import process from "node:process";
import type { Session } from "./session.ts";

const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";

/** The keys that have a name; others are the character that they type. */
const NAMED: Record<string, Key> = {
  "\x1b[5~": "PageUp",
  "\x1b[6~": "PageDown",
  "\x1b[A": "PageUp",
  "\x1b[B": "PageDown",
  "\x1b[C": ">",
  "\x1b[D": "<",
  "\r": "Enter",
  "\n": "Enter",
  "\x7f": "Backspace",
  "\b": "Backspace",
  "\x1b": "Escape",
};

/** `PageUp`, `PageDown`, `Enter`, `Backspace`, `Escape`, or a character. */
export type Key = string;

/**
 * The whole terminal, on its alternate screen: what was there before comes back at the end, whatever ends the program
 * (except SIGKILL). Ctrl-C ends it, Ctrl-Z suspends it.
 */
export class Screen {
  readonly #onKey: (key: Key) => void;
  readonly #onResize: () => void;
  #isOn = false;

  constructor(session: Session, onKey: (key: Key) => void, onResize: () => void) {
    this.#onKey = onKey;
    this.#onResize = onResize;
    session.onEnd(() => Promise.resolve(this.close()));
    process.on("exit", this.#leave);
    process.stdin.on("data", this.#read);
    process.stdout.on("resize", onResize);
    this.#enter();
  }

  get width(): number {
    return process.stdout.columns || 80;
  }

  get height(): number {
    return process.stdout.rows || 24;
  }

  /** Shows lines instead of those before, without flicker. */
  show(lines: readonly string[]): void {
    if (this.#isOn) write(`\x1b[H${lines.map((line) => `${line}\x1b[K`).join("\r\n")}\x1b[J`);
  }

  close(): void {
    this.#leave();
    process.off("exit", this.#leave);
    process.stdin.off("data", this.#read);
    process.stdin.pause();
    process.stdout.off("resize", this.#onResize);
  }

  #enter(): void {
    if (this.#isOn) return;
    this.#isOn = true;
    process.stdin.setRawMode(true);
    process.stdin.resume();
    write(ENTER);
  }

  readonly #leave = (): void => {
    if (!this.#isOn) return;
    this.#isOn = false;
    // A terminal that has hung up refuses both.
    attempt(() => fs.writeSync(1, LEAVE));
    attempt(() => process.stdin.setRawMode(false));
  };

  readonly #read = (bytes: Uint8Array): void => {
    const text = new TextDecoder().decode(bytes);
    // deno-lint-ignore no-control-regex -- escape sequences of keys
    for (const [key] of text.matchAll(/\x1b\[[0-9;]*[A-Za-z~]|[^]/gu)) {
      if (key === "\x03") process.kill(process.pid, "SIGINT");
      else if (key === "\x1a") this.#suspend();
      else this.#onKey(NAMED[key] ?? key);
    }
  };

  #suspend(): void {
    this.#leave();
    process.once("SIGCONT", () => {
      this.#enter();
      this.#onResize();
    });
    process.kill(process.pid, "SIGTSTP");
  }
}

/** Writes to the terminal. What a slow one does not take is left out; the next screen is complete again. */
function write(text: string): void {
  try {
    fs.writeSync(1, text);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // A terminal that has hung up. The system tells only the first process in it.
    if (code === "EIO") process.kill(process.pid, "SIGHUP");
    else if (code !== "EAGAIN") throw error;
  }
}

function attempt(action: () => void): void {
  try {
    action();
  } catch {
    // Nothing depends on it.
  }
}
