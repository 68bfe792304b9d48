import fs from "node:fs";
import os from "node:os";
import process from "node:process";
import { EXIT, exitCodeOf, signalCode, StoppedError, UsageError } from "./errors.ts";
import { phrase, Reporter, type Verbosity } from "./reporter.ts";

/** The diagnostic options and `--ready-file`, if the command has them. */
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
  /** The number of messages that were sent again, as their outcome was not known; undefined where it is never done. */
  resent?: number;
  /** The number of received messages that the broker had delivered before, to this or another receiver. */
  redelivered?: number;
  /** How often quorum queues had counted a delivery of the received messages before, in all; undefined without one. */
  earlier_deliveries?: number;
}

/** An end that takes longer than this after a signal is explained, in milliseconds. */
const EXPLAIN_MS = 500;
/** The time between two attempts to open the FIFO of `--ready-file`, in milliseconds. */
const FIFO_MS = 20;

export type StopSignal = "SIGINT" | "SIGTERM" | "SIGHUP";

/** One run of a command: its diagnostics, its counters, and the signals that may end it. */
export class Session {
  /** The name of the command, `queue put`. */
  readonly command: string;
  readonly reporter: Reporter;
  readonly counts: Counts = { sent: 0, received: 0, confirmed: 0, unsent: 0, dropped: 0, bytes: 0 };
  /** Set when a part of the work has failed and the rest continues; it becomes the exit code. */
  exitCode: number = EXIT.done;

  readonly #options: SessionOptions;
  readonly #began = performance.now();
  readonly #onStop = new Set<() => void>();
  readonly #onAbort: (() => void)[] = [];
  readonly #onReload: (() => void)[] = [];
  readonly #onEnd: (() => Promise<void>)[] = [];
  readonly #waits: (() => string | undefined)[] = [];
  /** The signals that the parent process has set to be ignored. */
  readonly #ignored: readonly StopSignal[];
  #signal: StopSignal | undefined;
  #note = "";

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
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
    // The first listener changes how the process treats all of them on Deno, which then ends at an ignored signal.
    const ignored = signals.filter(isIgnored);
    for (const signal of signals) {
      if (!ignored.includes(signal)) process.on(signal, () => this.#stop(signal));
      else if (process.versions.deno !== undefined) process.on(signal, () => {});
    }
    this.#ignored = ignored;
  }

  /** Adds a note to the error that ends the command. */
  note(text: string): void {
    this.#note = ` (${text})`;
  }

  /** Prints a warning. */
  readonly warn = (text: string): void => this.reporter.warn(text);

  /** Whether a signal has requested the end. */
  get stopping(): boolean {
    return this.#signal !== undefined;
  }

  /** The signal that requested the end. */
  get signal(): StopSignal | undefined {
    return this.#signal;
  }

  /** Calls `callback` at the first signal, or at once if the signal has already arrived. */
  onStop(callback: () => void): void {
    if (this.stopping) callback();
    else this.#onStop.add(callback);
  }

  /** Calls `callback` at the second signal, just before the exit. */
  onAbort(callback: () => void): void {
    this.#onAbort.push(callback);
  }

  /** Calls `callback` at each SIGHUP, which then no longer stops the command. */
  onReload(callback: () => void): void {
    if (this.#onReload.push(callback) === 1 && this.#ignored.includes("SIGHUP")) {
      process.on("SIGHUP", () => this.#stop("SIGHUP"));
    }
  }

  /** Calls `callback` at the end of the work, also after an error, and waits for it. */
  onEnd(callback: () => Promise<void>): void {
    this.#onEnd.push(callback);
  }

  /**
   * Says what the end of the command waits for. If it has not ended soon after the first signal, this is printed:
   * `waiting for the reader of stdout to take 65536 bytes; again to stop now`.
   *
   * @param describe returns what comes after "waiting", for example `up to 30 s for 3 unsent messages`, or undefined
   * when there is nothing to wait for
   */
  explainWait(describe: () => string | undefined): void {
    this.#waits.push(describe);
  }

  /** Resolves to the result of `work`, or to undefined after a signal or after `limit` milliseconds. */
  async untilStopped<T>(work: Promise<T>, limit = Infinity): Promise<T | undefined> {
    let end!: () => void;
    const ended = new Promise<undefined>((resolve) => end = () => resolve(undefined));
    const timer = limit < 2 ** 31 ? setTimeout(end, Math.max(0, limit)) : undefined;
    this.onStop(end);
    try {
      return await Promise.race([work, ended]);
    } finally {
      clearTimeout(timer);
      this.#onStop.delete(end);
      work.catch(() => {}); // A later failure has no one to report to.
    }
  }

  /** Removes a callback of `onStop`. */
  offStop(callback: () => void): void {
    this.#onStop.delete(callback);
  }

  /** Waits until the time has passed or a signal arrives. */
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

  /** Writes the bound or connected endpoints to `--ready-file`, one per line. */
  ready(endpoints: readonly string[]): void {
    const path = this.#options.readyFile;
    if (path === undefined || endpoints.length === 0) return;
    const text = `${endpoints.join("\n")}\n`;
    const kind = fs.lstatSync(path, { throwIfNoEntry: false });
    if (kind?.isDirectory()) throw new UsageError(`--ready-file '${path}': it is a directory, not a file`);
    if (kind?.isFIFO()) return this.#writeToFifo(path, text);
    if (isDescriptor(path) || kind !== undefined && !kind.isFile() && !kind.isSymbolicLink()) {
      // A device must not be replaced.
      return fs.writeFile(path, text, (error) => {
        if (error) this.reporter.warn(`--ready-file '${path}': ${phrase(error)}`);
      });
    }
    // The rename replaces a symbolic link; the file that the link points to stays as it is.
    // A reader must never see an incomplete file.
    const draft = `${path}.${crypto.randomUUID()}.tmp`;
    try {
      fs.writeFileSync(draft, text, { flag: "wx" });
      fs.renameSync(draft, path);
    } catch (error) {
      throw new UsageError(`--ready-file '${path}': ${phrase(error)}`);
    }
  }

  /** Waits for a reader by trying, because Node cannot exit while it opens a FIFO that has none. */
  #writeToFifo(path: string, text: string): void {
    try {
      const fifo = fs.openSync(path, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK);
      try {
        fs.writeSync(fifo, text);
      } finally {
        fs.closeSync(fifo);
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENXIO") {
        setTimeout(() => this.#writeToFifo(path, text), FIFO_MS);
      } else this.reporter.warn(`--ready-file '${path}': ${phrase(error)}`);
    }
  }

  /**
   * Runs the work of the command.
   *
   * @param work resolves to a number when it has run a program that received our signals; that program's exit code
   * becomes ours
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
      this.reporter.error(new Error(phrase(error) + this.#note, { cause: error }));
      if (this.stopping && error instanceof StoppedError) return undefined;
      this.exitCode = exitCodeOf(error);
      return undefined;
    }
  }

  #reportWaits(): void {
    const waits = this.#waits.map((describe) => describe()).filter((text) => text !== undefined);
    if (waits.length === 0) return;
    this.reporter.info(`waiting ${waits.join(" and ")}; again to stop now`);
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
    this.reporter.verbose(`${signal}: finishing the work in progress; a second signal stops at once`);
    setTimeout(() => this.#reportWaits(), EXPLAIN_MS);
    for (const callback of [...this.#onStop]) callback();
    this.#onStop.clear();
  }
}

/** Whether a path names an open descriptor of this process, as a shell's `>(command)` does. */
function isDescriptor(path: string): boolean {
  return /^\/(dev\/(fd\/\d+|stdout|stderr)|proc\/self\/fd\/\d+)$/.test(path);
}

/** Whether the parent process has set a signal to be ignored, like nohup and a shell's `&`. Linux shows it in /proc. */
function isIgnored(signal: StopSignal): boolean {
  try {
    const mask = /^SigIgn:\s*([0-9a-f]+)$/m.exec(fs.readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
    return (BigInt(`0x${mask}`) >> BigInt(os.constants.signals[signal] - 1) & 1n) === 1n;
  } catch {
    return false;
  }
}
