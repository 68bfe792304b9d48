import fs from "node:fs";
import process from "node:process";

/** A write of up to this size to a pipe is taken as a whole or not at all, in bytes (pipe(7)). */
export const PIPE_BUF = 4096;

/** The largest write to a file or device in the thread of JavaScript, where another thread could do it, in bytes. */
const MAX_DIRECT = 64 * 1024;

/** How to write to stdout without ever stopping the thread of JavaScript. */
export interface Stdout {
  /** The descriptor for `fs.writeSync`. */
  readonly fd: number;
  /** The largest `fs.writeSync`, in bytes. It writes without waiting for a reader, or fails with EAGAIN. */
  readonly limit: number;
  /**
   * Writes at least one byte, and waits for the reader in another thread. It fails with EAGAIN if the descriptor itself
   * does not block.
   */
  readonly wait: (
    bytes: Uint8Array,
    done: (error: NodeJS.ErrnoException | null, count: number) => void,
  ) => void;
}

/**
 * Opens stdout. A write in the thread of JavaScript would stop it while the reader of a pipe or a terminal stands still:
 * no signal and no timer would be handled. Another thread costs a small write several times the write itself. So small
 * writes go to a descriptor that does not block, and only what finds no room goes to another thread.
 */
export function openStdout(): Stdout {
  const wait = "Deno" in globalThis ? waitOnDeno : waitInPool;
  const kind = kindOf(1);
  if (kind === undefined || kind.isFile() || kind.isCharacterDevice() && !isTerminal(1)) {
    // On Deno, `fs.write` writes in the thread of JavaScript, too.
    return { fd: 1, limit: wait === waitOnDeno ? Infinity : MAX_DIRECT, wait };
  }
  // After a part of a write, Deno reports EAGAIN without the size of the part.
  const fd = kind.isFIFO() ? reopened(1) : undefined;
  return fd === undefined ? { fd: 1, limit: 0, wait } : { fd, limit: PIPE_BUF, wait };
}

const waitOnDeno: Stdout["wait"] = (bytes, done) => {
  Deno.stdout.write(bytes).then((count) => done(null, count), (error) => done(error, 0));
};

const waitInPool: Stdout["wait"] = (bytes, done) => fs.write(1, bytes, 0, bytes.length, null, done);

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

/** Whether a descriptor is a terminal. The module that knows is slow to load, so only a device asks it. */
export function isTerminal(fd: number): boolean {
  return kindOf(fd)?.isCharacterDevice() === true && process.getBuiltinModule("node:tty").isatty(fd);
}

function kindOf(fd: number): fs.Stats | undefined {
  try {
    return fs.fstatSync(fd);
  } catch {
    return undefined;
  }
}
