import fs from "node:fs";
import { LimitError } from "../errors.ts";

/** The most descriptors that stay free for files, outgoing connections and processes. */
const MAX_RESERVE = 16;
/** How long the limit of the process is remembered, in milliseconds. */
const REMEMBER_MS = 1000;
/** The most streams that are accepted without another look, if few descriptors are open. */
const MAX_CREDIT = 64;

let limit = Infinity;
let readAt = -Infinity;
let credit = 0;
let most = MAX_CREDIT;

/**
 * Checks, after a stream was accepted, whether enough file descriptors are free. A listener closes the stream otherwise:
 * with a full table, `accept` would fail again and again, which keeps a processor busy, and no file could be opened.
 *
 * @returns the error for the peer's refusal; undefined when the stream can stay
 */
export function descriptorShortage(): LimitError | undefined {
  if (--credit > 0) return undefined;
  const room = freeDescriptors();
  credit = Math.min(room >> 1, most);
  return room > 0
    ? undefined
    : new LimitError(`This process may open ${limit} files, and almost all are in use`);
}

/** How many descriptors are free beyond the reserve; not more than 0 when there are none. */
function freeDescriptors(): number {
  let used: number;
  try {
    used = openDescriptors();
  } catch (error) {
    const { code } = error as { code?: string };
    return code === "EMFILE" || code === "ENFILE" ? 0 : MAX_CREDIT;
  }
  const now = performance.now();
  if (now - readAt > REMEMBER_MS) {
    limit = descriptorLimit();
    readAt = now;
  }
  if (limit === Infinity) return MAX_CREDIT;
  // The more there are, the longer it takes to count them, and the more rarely that is done.
  most = Math.max(MAX_CREDIT, used >> 3);
  return limit - used - Math.min(MAX_RESERVE, limit >> 3);
}

/**
 * Counts the open file descriptors of this process.
 *
 * @throws {Error} none is free
 */
export function openDescriptors(): number {
  for (const directory of ["/proc/self/fd", "/dev/fd"]) {
    try {
      // One of them is that of the directory.
      return fs.readdirSync(directory).length - 1;
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === "EMFILE" || code === "ENFILE") throw error;
    }
  }
  // The system returns the lowest free number, so at least those below it are in use.
  const next = fs.openSync("/dev/null", "r");
  fs.closeSync(next);
  return next;
}

/** The limit of this process, where the system has it in a file (Linux). */
export function descriptorLimit(): number {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(fs.readFileSync("/proc/self/limits", "utf8"))?.[1];
    return soft === undefined ? Infinity : Number(soft);
  } catch {
    return Infinity;
  }
}
