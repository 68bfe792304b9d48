import fs from "node:fs";
import path from "node:path";
import process from "node:process";
import { MqcatError } from "../../../../errors.ts";

/** The maximum number of attempts to replace the lock of a dead process. */
const TRIES = 20;

/** Identifies a process. Process ids are reused, so the start time is part of it, if the system provides one. */
interface LockOwner {
  readonly pid: number;
  /** The start time in clock ticks since the boot; empty if unknown. */
  readonly started: string;
  /** The id of the boot. */
  readonly boot: string;
}

/**
 * Locks a data directory for one process. The lock is a symbolic link whose target is not a path but describes the
 * owner. A link is created atomically, fails if it exists, and needs no space on a full disk. The lock of a dead
 * process is ignored. A process that removes it holds a second lock meanwhile; otherwise two processes could remove it,
 * and the later one would remove the new lock of the earlier one.
 *
 * The processes must be able to see each other. Containers with separate process ids that share a directory cannot.
 */
export class Lock {
  readonly #file: string;

  private constructor(file: string) {
    this.#file = file;
  }

  /** Locks the directory. @throws {MqcatError} `ERR_ADDRESS_IN_USE`: another process holds the lock */
  static take(directory: string): Lock {
    const file = path.join(directory, "lock");
    for (let i = 0; i < TRIES; i++) {
      if (createLock(file)) return new Lock(file);
      const owner = readOwner(file);
      if (owner !== undefined && isAlive(owner)) {
        throw new MqcatError(
          "ERR_ADDRESS_IN_USE",
          `The data directory "${directory}" is in use by process ${owner.pid}: stop that process or use another directory`,
        );
      }
      removeStale(file);
    }
    throw new MqcatError(
      "ERR_ADDRESS_IN_USE",
      `Cannot take the lock "${file}" as other processes take it repeatedly: try again`,
    );
  }

  /** Removes the lock if this process holds it. */
  release(): void {
    if (readOwner(this.#file)?.pid === process.pid) fs.rmSync(this.#file, { force: true });
  }
}

/** Creates a lock that names this process. @returns false when the lock exists */
function createLock(file: string): boolean {
  try {
    fs.symlinkSync(JSON.stringify(identity(process.pid)), file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Removes the lock of a dead process, unless another process is doing so. */
function removeStale(file: string): void {
  const second = `${file}.old`;
  if (createLock(second)) {
    try {
      // Another process may have replaced the lock meanwhile.
      const owner = readOwner(file);
      if (owner === undefined || !isAlive(owner)) fs.rmSync(file, { force: true });
    } finally {
      fs.rmSync(second, { force: true });
    }
  } else {
    const owner = readOwner(second);
    if (owner === undefined || !isAlive(owner)) fs.rmSync(second, { force: true });
  }
}

function readOwner(file: string): LockOwner | undefined {
  try {
    const owner = JSON.parse(fs.readlinkSync(file));
    return typeof owner?.pid === "number" ? owner : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(owner: LockOwner): boolean {
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    // Other errors, such as EPERM, do not prove that the process has ended.
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  const now = identity(owner.pid);
  return now.started === owner.started && now.boot === owner.boot;
}

/**
 * Reads the identity of a process. `started` is empty for a process that has ended but was not reaped by its parent.
 */
function identity(pid: number): LockOwner {
  // The name can contain any character, so the fields are counted after it: state is field 3, starttime 22 (proc(5)).
  const stat = readText(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const started = fields[0] === "Z" || fields[0] === "X" ? "" : fields[19] ?? "";
  return { pid, started, boot: readText("/proc/sys/kernel/random/boot_id").trim() };
}

function readText(file: string): string {
  try {
    return fs.readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
