import fs from "node:fs";
import process from "node:process";
import { isRegularFile, PIPE_BUF, reopened } from "../../lib/transport/runtime/stdout.ts";

/** The most blocks of up to 4 KiB that wait for the reader of stderr; more text is dropped. */
const MAX_PENDING = 256;
/** How often the rest is tried again, in milliseconds. */
const RETRY_MS = 20;
/** How long the end of the program waits for a slow reader, in milliseconds. */
const LAST_MS = 200;

let descriptor: number | undefined;
const pending: Uint8Array[] = [];
let timer: ReturnType<typeof setTimeout> | undefined;

/**
 * Writes text to stderr. A reader that stands still, such as a stopped pager or terminal, stops neither the program nor
 * its signals: the text waits for it.
 */
export function writeStderr(text: string): void {
  if (pending.length > MAX_PENDING) return;
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length; at += PIPE_BUF) pending.push(bytes.subarray(at, at + PIPE_BUF));
  flush();
}

/** Writes as much as the reader takes. */
function flush(): void {
  try {
    while (pending.length > 0) {
      const count = fs.writeSync(open(), pending[0]!);
      if (count < pending[0]!.length) pending[0] = pending[0]!.subarray(count);
      else pending.shift();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EAGAIN") {
      timer ??= setTimeout(() => {
        timer = undefined;
        flush();
      }, RETRY_MS);
      return;
    }
    pending.length = 0; // Nobody reads stderr; that is no reason to stop.
  }
}

function open(): number {
  if (descriptor === undefined) {
    descriptor = isRegularFile(2) ? 2 : reopened(2) ?? 2;
    process.on("exit", flushLast);
  }
  return descriptor;
}

function flushLast(): void {
  const end = performance.now() + LAST_MS;
  flush();
  while (pending.length > 0 && performance.now() < end) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
    flush();
  }
}
