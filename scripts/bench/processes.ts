/** Processes that are measured: their end, the words on stderr, their CPU time and memory. */
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import process from "node:process";
import type { Measurement } from "./row.ts";

/** The longest that one measured process may run, in milliseconds. */
const PATIENCE_MS = 180_000;
/** How often the memory of processes is read, in milliseconds. */
const SAMPLE_MS = 50;
/** The unit of CPU times in /proc, USER_HZ, which is 100 on all platforms of Linux that we know. */
const TICKS_PER_SECOND = 100;

const running = new Set<Program>();

export interface StartOptions {
  /** The path of the file that is stdin. Default: no input. */
  readonly stdin?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Whether it runs until it is stopped, as a broker does. Default: it is killed after three minutes. */
  readonly stays?: boolean;
  /** Whether to collect stdout. Default: it is discarded. */
  readonly collect?: boolean;
}

/** A running process. */
export class Program {
  readonly child: ChildProcess;
  readonly #name: string;
  readonly #ended: Promise<number | null>;
  readonly #listeners = new Set<() => void>();
  /** What it has written to stdout, if collected. */
  output = "";
  #said = "";
  #isOver = false;
  /** The largest resident memory so far, in MiB. */
  memory = 0;

  constructor(command: readonly string[], { stdin, env, stays = false, collect = false }: StartOptions = {}) {
    const input = stdin === undefined ? "ignore" : fs.openSync(stdin, "r");
    this.child = spawn(command[0]!, command.slice(1), {
      stdio: [input, collect ? "pipe" : "ignore", "pipe"],
      env: { ...process.env, NO_COLOR: "1", ...env },
    });
    if (typeof input === "number") fs.closeSync(input);
    this.#name = command.slice(0, 5).join(" ");
    running.add(this);
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => this.output += text);
    this.child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.#said = (this.#said + text).slice(-64_000);
      for (const listener of this.#listeners) listener();
    });
    const timer = stays ? undefined : setTimeout(() => this.child.kill("SIGKILL"), PATIENCE_MS);
    const sampler = setInterval(() => this.#sample(), SAMPLE_MS);
    this.#ended = new Promise((resolve) => {
      this.child.once("error", (error) => this.#said += error.message);
      this.child.once("close", (status) => {
        clearTimeout(timer);
        clearInterval(sampler);
        running.delete(this);
        this.#isOver = true;
        for (const listener of this.#listeners) listener();
        resolve(status);
      });
    });
  }

  /** Waits until stderr has `words` the given number of times; resolves to everything on stderr so far. */
  says(words: string | RegExp, times = 1): Promise<string> {
    return new Promise((resolve, reject) => {
      const check = () => {
        const found = this.#said.split(words).length > times;
        if (found) resolve(this.#said);
        else if (this.#isOver) reject(new Error(`${this.#name} ended early: ${this.#said}`));
        else return;
        this.#listeners.delete(check);
      };
      this.#listeners.add(check);
      check();
    });
  }

  /** Waits for the end. @throws {Error} the exit code is not 0 */
  async success(): Promise<void> {
    const status = await this.#ended;
    if (status !== 0) throw new Error(`${this.#name} exited with ${status}: ${this.#said}`);
  }

  /** Ends the process. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (!this.#isOver) this.child.kill(signal);
    await this.#ended;
  }

  #sample(): void {
    this.memory = Math.max(this.memory, residentMiB(this.child.pid!, "VmHWM"));
  }
}

/** Ends all processes that still run. */
export async function stopAll(): Promise<void> {
  await Promise.all([...running].map((program) => program.stop("SIGKILL")));
}

/**
 * Runs work and measures the CPU time of the processes that started and ended in it.
 *
 * @param work returns the value, and the processes whose memory is reported
 */
export async function measured(
  work: () => Promise<{ readonly value: number; readonly programs: readonly Program[] }>,
): Promise<Measurement> {
  const before = childrenCpu();
  const { value, programs } = await work();
  const memory = Math.max(0, ...programs.map((program) => program.memory));
  return { value, cpu: childrenCpu() - before, memory: memory || undefined };
}

/** The CPU time of all ended children, in seconds. */
function childrenCpu(): number {
  return cpuFields("self", 13, 15);
}

/** The CPU time of a running process, in seconds. */
export function cpuOf(pid: number): number {
  return cpuFields(String(pid), 11, 13);
}

/** Adds up fields of /proc/PID/stat, counted from the one after the name. */
function cpuFields(pid: string, from: number, to: number): number {
  const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
  // The name, in parentheses, may contain spaces.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ").slice(from, to);
  return fields.reduce((sum, field) => sum + Number(field), 0) / TICKS_PER_SECOND;
}

/** The resident memory of a process in MiB; 0 when it has ended. */
export function residentMiB(pid: number, field: "VmRSS" | "VmHWM" = "VmRSS"): number {
  try {
    const status = fs.readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}

/** A port of loopback that no program uses. */
export async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
