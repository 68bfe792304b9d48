/**
 * Runs the real program as processes, for the tests of the command line.
 *
 * MQCAT_TARGET chooses the program: `deno` (the source on Deno, the default), `bun` (the source on Bun), `node` (the
 * bundle in MQCAT_NODE_BUNDLE), or `binary` (the file in MQCAT_BINARY). With MQCAT_BUNDLE, `deno` runs the bundle instead
 * of the source. MQCAT_DENO and MQCAT_BUN are the paths of the runtimes if they are not on the PATH.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import process from "node:process";
import { it } from "node:test";
import { fileURLToPath } from "node:url";
import { type TempDir, tempDir, waitFor } from "./helpers.ts";

/** How long a test waits for a program, in milliseconds. The machine may be busy. */
export const PATIENCE = 30_000;

/** `it` with a timeout for several programs; the default of `bun test` is 5 s. */
export function test(name: string, body: () => Promise<void>): void {
  it(name, { timeout: 3 * PATIENCE }, body);
}

/** The command line that starts the program. */
export const program: readonly string[] = words();

/** The value of MQCAT_TARGET, for the few tests that differ between targets. */
export const target: string = process.env["MQCAT_TARGET"] ?? "deno";

function words(): string[] {
  const main = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
  const { MQCAT_TARGET = "deno", MQCAT_DENO = "deno", MQCAT_BUN = "bun" } = process.env;
  const { MQCAT_BINARY, MQCAT_BUNDLE, MQCAT_NODE_BUNDLE } = process.env;
  switch (MQCAT_TARGET) {
    case "deno":
      return [MQCAT_DENO, "run", "-A", "--no-check", MQCAT_BUNDLE ?? main];
    case "bun":
      return [MQCAT_BUN, main];
    case "node":
      if (MQCAT_NODE_BUNDLE !== undefined) return ["node", MQCAT_NODE_BUNDLE];
      throw new Error("MQCAT_TARGET=node needs MQCAT_NODE_BUNDLE, the path of the bundle for Node");
    case "binary":
      if (MQCAT_BINARY !== undefined) return [fs.realpathSync(MQCAT_BINARY)];
      throw new Error("MQCAT_TARGET=binary needs MQCAT_BINARY, the path of the binary");
  }
  throw new Error(`MQCAT_TARGET '${MQCAT_TARGET}': expected deno, bun, node or binary`);
}

/** Options for starting a program. */
export interface StartOptions {
  /** The content of stdin. Without this and `open`, stdin is empty. */
  readonly stdin?: string | Uint8Array;
  /** Leaves stdin open after the content, for `write` and `end`. */
  readonly open?: boolean;
  /** A file descriptor to use as stdin instead. */
  readonly stdinFrom?: number;
  /** A file that receives stdout; stdout is then not collected. */
  readonly stdout?: string;
  /** Variables that are added to the environment of this process. */
  readonly env?: Record<string, string>;
  readonly cwd?: string;
}

/** How a program ended. */
export interface Exit {
  /** The exit code as a shell reports it: 128 plus the number of a signal. */
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Starts mqcat. `using pull = start(["pull", ":0"]);` kills it at the end of the scope. */
export function start(args: readonly string[], options: StartOptions = {}): Program {
  return new Program([...program, ...args], options, args);
}

/** Runs mqcat until it exits. */
export async function run(args: readonly string[], options: StartOptions = {}): Promise<Exit> {
  using running = start(args, options);
  return await running.exit();
}

/**
 * Runs a sender that connects to a receiver, until both have ended.
 *
 * @param send a command and its options, such as `["push", "-0"]`
 * @param receive the same for the other end
 */
export async function transfer(
  send: readonly string[],
  receive: readonly string[],
  options: StartOptions = {},
): Promise<{ sent: Exit; received: Exit }> {
  using receiver = start([receive[0]!, "@:0", "--transient", ...receive.slice(1)]);
  const sent = await run([send[0]!, `>${await receiver.readyEndpoint()}`, ...send.slice(1)], options);
  return { sent, received: await receiver.exit() };
}

/** Runs `transfer`, and returns the receiver's output. Both ends must succeed, and the sender must print no errors. */
export async function through(
  send: readonly string[],
  receive: readonly string[],
  options: StartOptions = {},
): Promise<Buffer> {
  const { sent, received } = await transfer(send, receive, options);
  assert.deepEqual([sent.code, sent.stderr, received.code], [0, "", 0], received.stderr);
  return received.stdout;
}

/**
 * Starts a bash script in which `mqcat` is a shell function that runs the program. `"${MQCAT[@]}"` runs it without a
 * subshell: as the last command of a background pipeline its process id is `$!`.
 */
export function shell(script: string, options: StartOptions = {}): Program {
  const quoted = program.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
  return new Program(
    ["bash", "-c", `MQCAT=(${quoted}); mqcat() { "\${MQCAT[@]}" "$@"; }\n${script}`],
    options,
  );
}

/** A folder for the PATH, with an executable `mqcat` that runs the program. */
export function shim(): TempDir {
  const dir = tempDir();
  const words = program.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
  fs.writeFileSync(dir.file("mqcat"), `#!/bin/sh\nexec ${words} "$@"\n`, { mode: 0o755 });
  return dir;
}

const running = new Set<Program>();
process.on("exit", () => running.forEach((left) => left[Symbol.dispose]()));

/** A process, with its output so far. */
export class Program implements Disposable {
  readonly pid: number;

  readonly #child: ChildProcess;
  readonly #args: readonly string[];
  readonly #stdout: Buffer[] = [];
  #stderr = "";
  #code: number | undefined;
  #waiting: (() => void)[] = [];

  constructor(command: readonly string[], options: StartOptions, args: readonly string[] = command) {
    const { stdin, open, stdinFrom = "ignore", stdout, env, cwd } = options;
    const file = stdout === undefined ? undefined : fs.openSync(stdout, "w");
    this.#args = args;
    // A process group of its own, so that its child processes end with it.
    this.#child = spawn(command[0]!, command.slice(1), {
      stdio: [stdin === undefined && !open ? stdinFrom : "pipe", file ?? "pipe", "pipe"],
      // No test may use the contexts of the person who runs it.
      env: { ...process.env, XDG_CONFIG_HOME: "/no/such/config", MQCAT_CONTEXT: "", ...env },
      detached: true,
      ...(cwd === undefined ? {} : { cwd }),
    });
    if (file !== undefined) fs.closeSync(file);
    this.pid = this.#child.pid!;
    running.add(this);
    this.#child.stdout?.on("data", (chunk: Buffer) => {
      this.#stdout.push(chunk);
      this.#wake();
    });
    this.#child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
      this.#wake();
    });
    this.#child.on("error", (error) => {
      this.#stderr += error.message;
      this.#code ??= 127;
      this.#wake();
    });
    this.#child.on("close", (code, signal) => {
      running.delete(this);
      this.#code ??= code ?? 128 + os.constants.signals[signal!];
      this.#wake();
    });
    this.#child.stdin?.on("error", () => {}); // The program need not read all input.
    if (stdin !== undefined) this.#child.stdin!.write(stdin);
    if (stdin !== undefined && !open) this.#child.stdin!.end();
  }

  /** The bytes on stdout so far. */
  get stdout(): Buffer {
    return Buffer.concat(this.#stdout);
  }

  /** The text on stdout so far. */
  get text(): string {
    return this.stdout.toString();
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** The exit code; undefined while the process runs. */
  get code(): number | undefined {
    return this.#code;
  }

  /** Writes to an open stdin. */
  write(data: string | Uint8Array): void {
    this.#child.stdin!.write(data);
  }

  /** Ends stdin. */
  end(): void {
    this.#child.stdin!.end();
  }

  /** Sends a signal to the process itself (not to its group); does nothing if it has exited. */
  kill(signal: NodeJS.Signals = "SIGTERM"): void {
    // Not ChildProcess.kill: in Deno it reports the signal as the cause of the exit in any case.
    signalTo(this.pid, signal);
  }

  /** Closes our end of the program's stdout, so that its next write fails. */
  closeStdout(): void {
    this.#child.stdout!.destroy();
  }

  /** Waits until the process has exited and all its output is read. */
  async exit(ms = PATIENCE): Promise<Exit> {
    const code = await this.until(() => this.#code, "the end", ms);
    return { code, stdout: this.stdout, stderr: this.#stderr };
  }

  /** Waits until stderr matches a pattern. */
  waitForStderr(pattern: RegExp, ms = PATIENCE): Promise<RegExpExecArray> {
    return this.until(() => pattern.exec(this.#stderr) ?? undefined, `${pattern} on stderr`, ms);
  }

  /** Waits until stdout matches a pattern. */
  waitForStdout(pattern: RegExp, ms = PATIENCE): Promise<RegExpExecArray> {
    return this.until(() => pattern.exec(this.text) ?? undefined, `${pattern} on stdout`, ms);
  }

  /** The endpoint on which the program listens: from its --ready-file, if it has one, else from stderr. */
  async readyEndpoint(ms = PATIENCE): Promise<string> {
    const at = this.#args.indexOf("--ready-file");
    if (at >= 0) return (await readyFile(this.#args[at + 1]!, ms))[0]!;
    return (await this.waitForStderr(/listening on ([^\s"]+)/, ms))[1]!;
  }

  /** Waits until `look` returns a value; calls it at each event of the process. The error has the output so far. */
  async until<T>(look: () => T | undefined, what: string, ms = PATIENCE): Promise<T> {
    const end = performance.now() + ms;
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      const left = end - performance.now();
      const over = this.#code !== undefined;
      if (left <= 0 || over) {
        throw new Error(
          `${over ? `It exited with ${this.#code} before` : `Waited ${ms} ms for`} ${what}: ${
            this.#args.join(" ")
          }\nstderr: ${this.#stderr}\nstdout: ${this.text.slice(0, 500)}`,
        );
      }
      let timer: ReturnType<typeof setTimeout> | undefined;
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
        timer = setTimeout(resolve, left);
      });
      clearTimeout(timer);
    }
  }

  /** Kills the process and its child processes, if it still runs. */
  [Symbol.dispose](): void {
    if (!running.delete(this)) return;
    signalTo(-this.pid, "SIGKILL");
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // The process has already exited.
  }
}

/** Waits for a --ready-file, and returns its endpoints. */
export async function readyFile(path: string, ms = PATIENCE): Promise<string[]> {
  await waitFor(() => fs.existsSync(path), ms, `the ready file ${path}`);
  return fs.readFileSync(path, "utf8").trimEnd().split("\n");
}

/** Waits for the --ready-file of a program, which may end soon after. */
export async function readyFileOf(program: Program, path: string): Promise<string[]> {
  await waitFor(
    () => fs.existsSync(path) || program.code !== undefined,
    2 * PATIENCE,
    `the ready file ${path}: ${program.stderr}`,
  );
  if (!fs.existsSync(path)) throw new Error(`It exited with ${program.code}: ${program.stderr}`);
  return await readyFile(path);
}

/** Waits until `look` returns the same value for half a second: for activity that stops without an event. */
export async function settled<T>(look: () => T, what: string): Promise<T> {
  let last = look();
  let since = performance.now();
  await waitFor(
    () => {
      const now = look();
      if (now !== last) [last, since] = [now, performance.now()];
      return performance.now() - since > 500;
    },
    2 * PATIENCE,
    what,
  );
  return last;
}

/** The resident memory of a process in bytes; 0 after it has exited. */
export function residentBytes(pid: number): number {
  try {
    return 1024 *
      Number(/^VmRSS:\s+(\d+) kB/m.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** How many bytes a process has read so far, from all its descriptors. */
export function bytesRead(pid: number): number {
  return Number(/^rchar: (\d+)/.exec(fs.readFileSync(`/proc/${pid}/io`, "utf8"))![1]);
}

/** The JSON line of --summary, which is the last line of stderr. */
export function summaryOf(stderr: string): Record<string, number> {
  return JSON.parse(stderr.trimEnd().split("\n").at(-1)!);
}
