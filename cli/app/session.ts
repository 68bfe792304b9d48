import fs from "node:fs";
import os from "node:os";
import process from "node:process";
import { EXIT, exitCodeOf } from "./errors.ts";
import { phrase, Reporter, type Verbosity } from "./reporter.ts";

/** The diagnostic options, and `--ready-file`, as far as a command has them. */
export interface SessionOptions {
  readonly quiet?: boolean | undefined;
  readonly verbose?: boolean | undefined;
  readonly debug?: boolean | undefined;
  readonly logFormat?: "text" | "json" | undefined;
  readonly summary?: boolean | undefined;
  readonly readyFile?: string | undefined;
}

/** The totals that `--summary` prints. */
export interface Counts {
  sent: number;
  received: number;
  confirmed: number;
  unsent: number;
  dropped: number;
  bytes: number;
}

/** An end that takes longer than this after a signal is explained, in milliseconds. */
const EXPLAIN_MS = 500;

export type StopSignal = "SIGINT" | "SIGTERM" | "SIGHUP";

/** One run of a command: its diagnostics, its counters, and the signals that may end it. */
export class Session {
  /** The name of the command, `queue put`. */
  readonly command: string;
  readonly reporter: Reporter;
  readonly counts: Counts = { sent: 0, received: 0, confirmed: 0, unsent: 0, dropped: 0, bytes: 0 };
  /** Set when a part of the work failed and the rest went on; it becomes the exit code. */
  exitCode: number = EXIT.done;

  readonly #options: SessionOptions;
  readonly #began = performance.now();
  readonly #onStop = new Set<() => void>();
  readonly #onAbort: (() => void)[] = [];
  readonly #onReload: (() => void)[] = [];
  readonly #onEnd: (() => Promise<void>)[] = [];
  readonly #waits: (() => string | undefined)[] = [];
  #signal: StopSignal | undefined;

  constructor(command: string, options: SessionOptions) {
    this.command = command;
    const verbosity: Verbosity = options.debug
      ? "debug"
      : options.verbose
      ? "verbose"
      : options.quiet
      ? "quiet"
      : "normal";
    this.reporter = new Reporter(command, verbosity, options.logFormat ?? "text");
    this.#options = options;
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      if (!isIgnored(signal)) process.on(signal, () => this.#stop(signal));
    }
  }

  /** Whether a signal asked for the end. */
  get stopping(): boolean {
    return this.#signal !== undefined;
  }

  /** The signal that asked for it. */
  get signal(): StopSignal | undefined {
    return this.#signal;
  }

  /** Calls `callback` at the first signal; at once if it came already. */
  onStop(callback: () => void): void {
    if (this.stopping) callback();
    else this.#onStop.add(callback);
  }

  /** Calls `callback` at the second signal, just before the end. */
  onAbort(callback: () => void): void {
    this.#onAbort.push(callback);
  }

  /** Calls `callback` at each SIGHUP, which then no longer is a reason to stop. */
  onReload(callback: () => void): void {
    if (this.#onReload.push(callback) === 1 && isIgnored("SIGHUP")) {
      process.on("SIGHUP", () => this.#stop("SIGHUP"));
    }
  }

  /** Calls `callback` when the work is over, however it ended, and waits for it. */
  onEnd(callback: () => Promise<void>): void {
    this.#onEnd.push(callback);
  }

  /**
   * Says what the end of the command waits for. If it has not ended soon after the first signal, this is printed:
   * `waiting for the reader of stdout to take 65536 bytes; a second signal stops at once`.
   *
   * @param describe returns what comes after "waiting for", or undefined when there is nothing to wait for
   */
  explainWait(describe: () => string | undefined): void {
    this.#waits.push(describe);
  }

  /** Takes a callback of `onStop` back. */
  offStop(callback: () => void): void {
    this.#onStop.delete(callback);
  }

  /** Waits, but not past a signal. */
  sleep(ms: number): Promise<void> {
    if (this.stopping || ms <= 0) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#onStop.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, Math.min(ms, 2 ** 31 - 1));
      this.#onStop.add(wake);
    });
  }

  /** Tells `--ready-file` where we listen or are connected, an endpoint a line. */
  ready(endpoints: readonly string[]): void {
    const path = this.#options.readyFile;
    if (path === undefined || endpoints.length === 0) return;
    const text = `${endpoints.join("\n")}\n`;
    const kind = fs.lstatSync(path, { throwIfNoEntry: false });
    if (kind !== undefined && !kind.isFile()) {
      // Opening a FIFO waits for its reader, which is no reason for us to. Nor is a device or a link to be replaced.
      const told = (error: Error | null) =>
        error && this.reporter.warn(`--ready-file '${path}': ${phrase(error)}`);
      return fs.writeFile(path, text, told);
    }
    // A reader must never see half of it.
    const draft = `${path}.${crypto.randomUUID()}.tmp`;
    try {
      fs.writeFileSync(draft, text, { flag: "wx" });
      fs.renameSync(draft, path);
    } catch (error) {
      throw new Error(`--ready-file '${path}': ${phrase(error)}`, { cause: error });
    }
  }

  /**
   * Runs the work of the command, and turns its end into the exit code.
   *
   * @param work resolves to a number when it ran a program that received our signals: then that program's exit code
   * is ours
   */
  async run(work: () => Promise<number | void> | number | void): Promise<number> {
    const status = await this.#attempt(work);
    for (const end of this.#onEnd) await this.#attempt(end);
    if (this.#options.summary) {
      const seconds = Math.round(performance.now() - this.#began) / 1000;
      this.reporter.summary({ ...this.counts, seconds });
    }
    if (typeof status === "number") return status || (this.stopping ? EXIT.done : this.exitCode);
    if (this.exitCode !== EXIT.done || this.#signal === undefined) return this.exitCode;
    return signalCode(this.#signal);
  }

  async #attempt<T>(work: () => Promise<T> | T): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      this.reporter.error(new Error(phrase(error), { cause: error }));
      this.exitCode = exitCodeOf(error);
      return undefined;
    }
  }

  #reportWaits(): void {
    const waits = this.#waits.map((describe) => describe()).filter((text) => text !== undefined);
    if (waits.length === 0) return;
    this.reporter.info(`waiting for ${waits.join(" and ")}; a second signal stops at once`);
  }

  #stop(signal: StopSignal): void {
    if (signal === "SIGHUP" && this.#onReload.length > 0) {
      for (const callback of this.#onReload) callback();
      return;
    }
    if (this.#signal !== undefined) {
      for (const callback of this.#onAbort) callback();
      process.exit(signalCode(signal));
    }
    this.#signal = signal;
    this.reporter.verbose(`${signal}: finishing what was begun; a second signal stops at once`);
    setTimeout(() => this.#reportWaits(), EXPLAIN_MS);
    for (const callback of [...this.#onStop]) callback();
    this.#onStop.clear();
  }
}

/** The exit code of a program that a signal ended. */
export function signalCode(signal: StopSignal | "SIGPIPE"): number {
  return 128 + os.constants.signals[signal];
}

/** Whether whoever started us wants a signal ignored, as nohup and a shell's `&` do. Linux tells. */
function isIgnored(signal: StopSignal): boolean {
  try {
    const mask = /^SigIgn:\s*([0-9a-f]+)$/m.exec(fs.readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
    return (BigInt(`0x${mask}`) >> BigInt(os.constants.signals[signal] - 1) & 1n) === 1n;
  } catch {
    return false;
  }
}
