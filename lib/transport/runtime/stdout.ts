import fs from "node:fs";
import { isatty } from "node:tty";

/** A write of up to this size to a pipe is taken as a whole or not at all, in bytes (pipe(7)). */
export const PIPE_BUF = 4096;

/** How to write to stdout without ever stopping the thread of JavaScript. */
export interface Stdout {
  /** The descriptor for `fs.write`. */
  readonly fd: number;
  /** The largest `fs.write`, in bytes; it may fail with EAGAIN if `wait` is set. */
  readonly limit: number;
  /**
   * Writes at least one byte, and waits for the reader in another thread. Undefined where `fs.write` does that.
   *
   * @returns the number of bytes written
   */
  readonly wait?: (bytes: Uint8Array) => Promise<number>;
}

/**
 * Opens stdout. On Deno, `fs.write` writes in the thread of JavaScript: while the reader of a pipe or a terminal stands
 * still, no signal and no timer would be handled. Another thread costs a small write more time than the write itself.
 */
export function openStdout(): Stdout {
  const blocking = { fd: 1, limit: Infinity };
  if (!("Deno" in globalThis)) return blocking;
  const kind = kindOf(1);
  if (kind === undefined || kind.isFile() || kind.isCharacterDevice() && !isatty(1)) return blocking;
  const wait = (bytes: Uint8Array) => Deno.stdout.write(bytes);
  // After a part of a write, Deno reports EAGAIN without the size of the part.
  const fd = kind.isFIFO() ? reopened(1) : undefined;
  return fd === undefined ? { fd: 1, limit: 0, wait } : { fd, limit: PIPE_BUF, wait };
}

/**
 * Opens the file of a descriptor once more, without blocking. The flag belongs to the new descriptor alone: other
 * programs that write to the same pipe or terminal do not notice (open(2), proc_pid_fd(5)).
 *
 * @returns undefined where the system cannot do this, for example for a socket
 */
export function reopened(fd: number, access: number = fs.constants.O_WRONLY): number | undefined {
  const { O_NONBLOCK, O_NOCTTY } = fs.constants;
  try {
    return fs.openSync(`/proc/self/fd/${fd}`, access | O_NONBLOCK | (O_NOCTTY ?? 0));
  } catch {
    return undefined;
  }
}

/** Whether a descriptor is a regular file, which is written without waiting for a reader. */
export function isRegularFile(fd: number): boolean {
  return kindOf(fd)?.isFile() ?? false;
}

function kindOf(fd: number): fs.Stats | undefined {
  try {
    return fs.fstatSync(fd);
  } catch {
    return undefined;
  }
}
