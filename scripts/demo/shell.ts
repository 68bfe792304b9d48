/** Runs the shell commands of the demo in a temporary folder, where `mqcat` is the program of this checkout. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
/** How long the demo waits for a process or a file, in milliseconds. */
const DEADLINE = 60_000;

/** A temporary folder, and the processes that run in it. */
export class Shell implements Disposable {
  readonly directory: string = fs.mkdtempSync(path.join(os.tmpdir(), "mqcat-demo-"));
  /** Variables for all commands. */
  readonly env: Record<string, string | undefined>;
  readonly #running = new Set<ChildProcess>();

  constructor() {
    this.env = { ...process.env, PATH: `${this.directory}:${process.env.PATH}` };
    const shim = `#!/bin/sh\nexec "${process.execPath}" run -A -q --no-check "${MAIN}" "$@"\n`;
    fs.writeFileSync(this.path("mqcat"), shim, { mode: 0o755 });
  }

  path(name: string): string {
    return path.join(this.directory, name);
  }

  /** The size of a file in bytes, 0 if it does not exist. */
  sizeOf(name: string): number {
    return fs.statSync(this.path(name), { throwIfNoEntry: false })?.size ?? 0;
  }

  /** Prints a command, and starts it. */
  start(command: string): ChildProcess {
    console.log(`  $ ${command.replace(/^exec /, "")}`);
    const child = spawn("/bin/sh", ["-c", command], {
      cwd: this.directory,
      env: this.env,
      stdio: ["ignore", "inherit", "inherit"],
      detached: true,
    });
    this.#running.add(child);
    return child;
  }

  /** Waits until all have ended; throws if one fails. */
  async end(...children: ChildProcess[]): Promise<void> {
    for (
      const [child, status] of await Promise.all(
        children.map(async (one) => [one, await ended(one)] as const),
      )
    ) {
      this.#running.delete(child);
      if (status !== 0) throw new Error(`a command of the demo ended with ${status}: ${child.spawnargs[2]}`);
    }
  }

  /** Ends a command and all processes that it started. */
  async kill(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
    process.kill(-child.pid!, signal);
    await ended(child);
    this.#running.delete(child);
  }

  /** Runs a command without printing it, and returns its output. */
  read(command: string): string {
    const { directory: cwd, env } = this;
    return execFileSync("/bin/sh", ["-c", command], { cwd, env, encoding: "utf8", maxBuffer: 2 ** 28 });
  }

  /** Waits for the files that `--ready-file` writes; returns their first lines. */
  async ready(...names: string[]): Promise<string[]> {
    await until(() => names.every((name) => fs.existsSync(this.path(name))));
    return names.map((name) => fs.readFileSync(this.path(name), "utf8").split("\n")[0]!);
  }

  [Symbol.dispose](): void {
    for (const { pid } of this.#running) {
      try {
        process.kill(-pid!, "SIGKILL");
      } catch { /* It has ended. */ }
    }
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Waits for the end of a process; returns its exit code or its signal. */
function ended(child: ChildProcess): Promise<number | string | null> {
  if (child.exitCode !== null || child.signalCode !== null) {
    return Promise.resolve(child.exitCode ?? child.signalCode);
  }
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`this did not end: ${child.spawnargs[2]}`)), DEADLINE);
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      resolve(code ?? signal);
    });
  });
}

/** Waits for a condition; throws if it does not come true. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + DEADLINE;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error("the demo waited too long");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Prints that two results are equal, or throws. */
export function check(what: string, actual: string, expected: string): void {
  if (actual === expected) return console.log(`  ok: ${what}`);
  const [got, wanted] = [actual, expected].map((text) => text.slice(0, 300));
  throw new Error(`${what}: got\n${got}\nexpected\n${wanted}`);
}
