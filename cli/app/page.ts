import fs from "node:fs";
import process from "node:process";
import { messageOf } from "../../lib/errors.ts";
import { signalCode } from "./errors.ts";

/** How long to wait when a nonblocking stdout is full, in milliseconds. */
const RETRY_MS = 5;

/**
 * Prints a page of help, or another text that is complete, on stdout.
 *
 * @throws {Error} stdout cannot be written, other than because its reader has exited
 */
export function printPage(text: string): void {
  let bytes = new TextEncoder().encode(text.endsWith("\n") ? text : `${text}\n`);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(fs.writeSync(1, bytes));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EPIPE") process.exit(signalCode("SIGPIPE"));
      if (code !== "EAGAIN") throw new Error(`cannot write to stdout: ${messageOf(error)}`, { cause: error });
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
    }
  }
}
