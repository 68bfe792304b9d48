import fs from "node:fs";
import { LimitError } from "../errors.ts";

/** The most descriptors that stay free for files, outgoing connections and processes. */
const MAX_RESERVE = 16;
/** How long the limit of the process is remembered, in milliseconds. */
const REMEMBER_MS = 1000;
/** The most streams that are accepted without another look. */
const MAX_CREDIT = 64;

let limit = Infinity;
let readAt = -Infinity;
let credit = 0;

/**
 * Checks, after a stream was accepted, whether enough file descriptors are free. A listener closes the stream otherwise:
 * with a full table, `accept` would fail again and again, which keeps a processor busy, and no file could be opened.
 *
 * @returns the error for the peer's refusal; undefined when the stream can stay
 */
export function descriptorShortage(): LimitError | undefined {
  if (--credit > 0) return undefined;
  const room = freeDescriptors();
  credit = Math.min(room >> 1, MAX_CREDIT);
  return room > 0
    ? undefined
    : new LimitError(`This process may open ${limit} files, and almost all are in use`);
}

/** How many descriptors are free beyond the reserve; not more than 0 when there are none. */
function freeDescriptors(): number {
  let next: number;
  try {
    // The system returns the lowest free number, so all below it are in use.
    next = fs.openSync("/dev/null", "r");
    fs.closeSync(next);
  } catch (error) {
    const { code } = error as { code?: string };
    return code === "EMFILE" || code === "ENFILE" ? 0 : MAX_CREDIT;
  }
  const now = performance.now();
  if (now - readAt > REMEMBER_MS) {
    limit = readLimit();
    readAt = now;
  }
  return limit === Infinity ? MAX_CREDIT : limit - next - Math.min(MAX_RESERVE, limit >> 3);
}

/** The limit of this process, where the system has it in a file (Linux). */
function readLimit(): number {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(fs.readFileSync("/proc/self/limits", "utf8"))?.[1];
    return soft === undefined ? Infinity : Number(soft);
  } catch {
    return Infinity;
  }
}
