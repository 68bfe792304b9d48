/** Asks for a password on the terminal. */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import process from "node:process";
import { signalCode } from "../app/errors.ts";

/**
 * Asks for the password of a context. Standard input may be the messages, so the terminal itself is read.
 *
 * @returns undefined without a terminal
 */
export function askPassword(context: string): string | undefined {
  if (process.stderr.isTTY !== true) return undefined;
  let terminal: number;
  try {
    terminal = fs.openSync("/dev/tty", "r+");
  } catch {
    return undefined;
  }
  // A shell opens the terminal for stty, because not every runtime passes a descriptor on.
  const stty = (words: string) =>
    spawnSync(`stty ${words} </dev/tty`, {
      shell: true,
      stdio: ["ignore", "pipe", "ignore"],
      encoding: "utf8",
    });
  const before = stty("-g").stdout?.trim() ?? "";
  // Without ISIG, Ctrl-C is a character: signals are not handled while the terminal is read.
  if (before === "" || stty("-echo -icanon -isig").status !== 0) {
    fs.closeSync(terminal);
    return undefined;
  }
  let typed: string | undefined;
  try {
    fs.writeSync(terminal, `mqcat: password of context '${context}': `);
    typed = readLine(terminal);
    fs.writeSync(terminal, "\n");
  } finally {
    stty(before);
    fs.closeSync(terminal);
  }
  if (typed === undefined) process.exit(signalCode("SIGINT"));
  return typed;
}

/** Reads a line without its end; undefined after Ctrl-C. */
function readLine(terminal: number): string | undefined {
  const bytes: number[] = [];
  const chunk = new Uint8Array(256);
  for (;;) {
    const length = fs.readSync(terminal, chunk);
    if (length === 0) return new TextDecoder().decode(Uint8Array.from(bytes));
    for (const byte of chunk.subarray(0, length)) {
      if (byte === 0x03) return undefined;
      if (byte === 0x0a || byte === 0x0d || byte === 0x04) {
        return new TextDecoder().decode(Uint8Array.from(bytes));
      }
      if (byte === 0x15) bytes.length = 0;
      else if (byte !== 0x7f && byte !== 0x08) bytes.push(byte);
      // Backspace removes a character, which may be of several bytes.
      else while (bytes.length > 0 && (bytes.pop()! & 0xc0) === 0x80);
    }
  }
}
