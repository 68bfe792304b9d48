import fs from "node:fs";
import path from "node:path";
import process from "node:process";
import { MqcatError } from "../../../../errors.ts";

/** How often it is tried to take over what a dead process left. */
const TRIES = 20;

/** A process that cannot be mistaken for another one, as far as the system tells: ids are used again, starts are not. */
interface LockOwner {
  readonly pid: number;
  /** When it started, in the system's ticks since its boot; empty where that is not told. */
  readonly started: string;
  /** Which boot that was. */
  readonly boot: string;
}

/**
 * Keeps a data directory for one process. It is a symbolic link that points nowhere and names the owner: made whole or
 * not at all, not made when there is one, and without a block on a disk that is full. The lock of a process that is not there any more counts for nothing; who takes it away holds a second
 * lock for that moment, or two could do it and the later one take the earlier one's.
 *
 * The processes must see each other: two containers that share a directory, each with processes of its own, do not.
 */
export class Lock {
  readonly #file: string;

  private constructor(file: string) {
    this.#file = file;
  }

  /** @throws {MqcatError} `ERR_ADDRESS_IN_USE`: another process has it */
  static take(directory: string): Lock {
    const file = path.join(directory, "lock");
    for (let i = 0; i < TRIES; i++) {
      if (create(file)) return new Lock(file);
      const owner = read(file);
      if (owner !== undefined && isAlive(owner)) {
        throw new MqcatError(
          "ERR_ADDRESS_IN_USE",
          `The data directory "${directory}" is in use by process ${owner.pid}: stop that one, or use another directory`,
        );
      }
      takeAway(file);
    }
    throw new MqcatError(
      "ERR_ADDRESS_IN_USE",
      `Other processes take the lock "${file}" all the time: try again`,
    );
  }

  release(): void {
    if (read(this.#file)?.pid === process.pid) fs.rmSync(this.#file, { force: true });
  }
}

/** Makes a lock with our name in it. @returns false when there is one */
function create(file: string): boolean {
  try {
    fs.symlinkSync(JSON.stringify(identity(process.pid)), file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Removes the lock of a dead process, unless another process is at it. */
function takeAway(file: string): void {
  const second = `${file}.old`;
  if (create(second)) {
    try {
      // It may be another one by now.
      const owner = read(file);
      if (owner === undefined || !isAlive(owner)) fs.rmSync(file, { force: true });
    } finally {
      fs.rmSync(second, { force: true });
    }
  } else {
    const owner = read(second);
    if (owner === undefined || !isAlive(owner)) fs.rmSync(second, { force: true });
  }
}

function read(file: string): LockOwner | undefined {
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
    // Anything else, EPERM above all, is no proof that it is gone.
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  const now = identity(owner.pid);
  return now.started === owner.started && now.boot === owner.boot;
}

/** `started` is empty for a process that has ended and was not waited for by its parent. */
function identity(pid: number): LockOwner {
  // The fields begin behind the name, which may have anything in it: the state, and the start as the 22nd (proc(5)).
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
