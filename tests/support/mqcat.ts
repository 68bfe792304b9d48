/**
 * Runs the real program as processes: what the tests of the command line stand on.
 *
 * MQCAT_TARGET says what the program is: `deno` (the source on Deno, unless told), `bun` (the source on Bun), or
 * `binary` (the file that MQCAT_BINARY names). MQCAT_DENO and MQCAT_BUN name the runtimes where PATH does not.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import process from "node:process";
import { it } from "node:test";
import { fileURLToPath } from "node:url";
import { type TempDir, tempDir, waitFor } from "./helpers.ts";

/** How long a program may take for what a test waits for, in milliseconds. The machine may be busy. */
export const PATIENCE = 30_000;

/** `it` with time for several programs; `bun test` gives a test no more than 5 s unless told. */
export function test(name: string, body: () => Promise<void>): void {
  it(name, { timeout: 3 * PATIENCE }, body);
}

/** The words that start the program. */
export const program: readonly string[] = words();

/** What the program is: for the few tests that cannot hold everywhere. */
export const target: string = process.env["MQCAT_TARGET"] ?? "deno";

function words(): string[] {
  const main = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
  const { MQCAT_TARGET = "deno", MQCAT_DENO = "deno", MQCAT_BUN = "bun", MQCAT_BINARY } = process.env;
  switch (MQCAT_TARGET) {
    case "deno":
      return [MQCAT_DENO, "run", "-A", "--no-check", main];
    case "bun":
      return [MQCAT_BUN, main];
    case "binary":
      if (MQCAT_BINARY !== undefined) return [fs.realpathSync(MQCAT_BINARY)];
      throw new Error("MQCAT_TARGET=binary needs MQCAT_BINARY, the path of the binary");
  }
  throw new Error(`MQCAT_TARGET '${MQCAT_TARGET}': expected deno, bun or binary`);
}

/** What a program is started with. */
export interface StartOptions {
  /** What its stdin gives before it ends; without this and `open` it is empty at once. */
  readonly stdin?: string | Uint8Array;
  /** Leaves stdin open behind that, for `write` and `end`. */
  readonly open?: boolean;
  /** A descriptor that is its stdin instead. */
  readonly stdinFrom?: number;
  /** A file that takes stdout, which then is not collected. */
  readonly stdout?: string;
  /** Added to this process's environment. */
  readonly env?: Record<string, string>;
  readonly cwd?: string;
}

/** How a program ended. */
export interface Exit {
  /** The exit code as a shell has it: 128 and its number for a signal. */
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Starts mqcat: `using pull = start(["pull", ":0"]);` kills it at the end of the scope. */
export function start(args: readonly string[], options: StartOptions = {}): Program {
  return new Program([...program, ...args], options, args);
}

/** Runs mqcat to its end. */
export async function run(args: readonly string[], options: StartOptions = {}): Promise<Exit> {
  using running = start(args, options);
  return await running.exit();
}

/**
 * Runs a sender that connects to a receiver, until the receiver's peer is gone.
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

/** Transfers, and gives what the receiver printed; both ends must end well, and the sender silently. */
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
 * Starts a script in bash, in which `mqcat` is the program. `"${MQCAT[@]}"` is it too, without a shell around it: as
 * the last command of a pipeline in the background its process id is `$!`.
 */
export function shell(script: string, options: StartOptions = {}): Program {
  const quoted = program.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
  return new Program(
    ["bash", "-c", `MQCAT=(${quoted}); mqcat() { "\${MQCAT[@]}" "$@"; }\n${script}`],
    options,
  );
}

/** A folder for PATH in which `mqcat` is the program. */
export function shim(): TempDir {
  const dir = tempDir();
  const words = program.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
  fs.writeFileSync(dir.file("mqcat"), `#!/bin/sh\nexec ${words} "$@"\n`, { mode: 0o755 });
  return dir;
}

const running = new Set<Program>();
process.on("exit", () => running.forEach((left) => left[Symbol.dispose]()));

/** A process, with what it printed so far. */
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
    // A group of its own, so that what it started ends with it.
    this.#child = spawn(command[0]!, command.slice(1), {
      stdio: [stdin === undefined && !open ? stdinFrom : "pipe", file ?? "pipe", "pipe"],
      env: { ...process.env, ...env },
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
    this.#child.stdin?.on("error", () => {}); // It need not read to the end.
    if (stdin !== undefined) this.#child.stdin!.write(stdin);
    if (stdin !== undefined && !open) this.#child.stdin!.end();
  }

  /** What it printed so far. */
  get stdout(): Buffer {
    return Buffer.concat(this.#stdout);
  }

  /** The same as text. */
  get text(): string {
    return this.stdout.toString();
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** The exit code; undefined while it runs. */
  get code(): number | undefined {
    return this.#code;
  }

  /** Writes to a stdin that was left open. */
  write(data: string | Uint8Array): void {
    this.#child.stdin!.write(data);
  }

  /** Ends stdin. */
  end(): void {
    this.#child.stdin!.end();
  }

  /** Sends a signal to the process alone, unless it is gone. */
  kill(signal: NodeJS.Signals = "SIGTERM"): void {
    // Not ChildProcess.kill: Deno's takes the signal for the way the process ended.
    signalTo(this.pid, signal);
  }

  /** Closes our end of its stdout, so that its next write fails. */
  closeStdout(): void {
    this.#child.stdout!.destroy();
  }

  /** Waits for the end, and for all that it printed. */
  async exit(ms = PATIENCE): Promise<Exit> {
    const code = await this.until(() => this.#code, "the end", ms);
    return { code, stdout: this.stdout, stderr: this.#stderr };
  }

  /** Waits until what it said on stderr matches. */
  waitForStderr(pattern: RegExp, ms = PATIENCE): Promise<RegExpExecArray> {
    return this.until(() => pattern.exec(this.#stderr) ?? undefined, `${pattern} on stderr`, ms);
  }

  /** Waits until what it printed matches. */
  waitForStdout(pattern: RegExp, ms = PATIENCE): Promise<RegExpExecArray> {
    return this.until(() => pattern.exec(this.text) ?? undefined, `${pattern} on stdout`, ms);
  }

  /** The endpoint where it listens: from its --ready-file, if it has one, else from stderr. */
  async readyEndpoint(ms = PATIENCE): Promise<string> {
    const at = this.#args.indexOf("--ready-file");
    if (at >= 0) return (await readyFile(this.#args[at + 1]!, ms))[0]!;
    return (await this.waitForStderr(/listening on ([^\s"]+)/, ms))[1]!;
  }

  /** Waits until `look` finds something; it looks again at each event of the process. Fails with all that it said. */
  async until<T>(look: () => T | undefined, what: string, ms = PATIENCE): Promise<T> {
    const end = performance.now() + ms;
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      const left = end - performance.now();
      const over = this.#code !== undefined;
      if (left <= 0 || over) {
        throw new Error(
          `${over ? `It ended with ${this.#code} before` : `Waited ${ms} ms for`} ${what}: ${
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

  /** Kills it, and what it started, if it still runs. */
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
    // It is gone already.
  }
}

/** Waits for a --ready-file, and gives its endpoints. */
export async function readyFile(path: string, ms = PATIENCE): Promise<string[]> {
  await waitFor(() => fs.existsSync(path), ms, `the ready file ${path}`);
  return fs.readFileSync(path, "utf8").trimEnd().split("\n");
}

/** Waits until `look` gives the same for half a second: for what comes to a stop without an event. */
export async function settled<T>(look: () => T, what: string): Promise<T> {
  let last = look();
  let since = performance.now();
  await waitFor(
    () => {
      const now = look();
      if (now !== last) [last, since] = [now, performance.now()];
      return performance.now() - since > 500;
    },
    PATIENCE,
    what,
  );
  return last;
}

/** The memory of a process that is resident, in bytes; 0 once it has ended. */
export function residentBytes(pid: number): number {
  try {
    return 1024 *
      Number(/^VmRSS:\s+(\d+) kB/m.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** How many bytes a process has read so far, from whatever it reads. */
export function bytesRead(pid: number): number {
  return Number(/^rchar: (\d+)/.exec(fs.readFileSync(`/proc/${pid}/io`, "utf8"))![1]);
}

/** A TCP port that was free just now, for the end that starts before the one that binds it. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/**
 * A free port under those that the system hands out by itself: until somebody binds it nobody else gets it by chance,
 * and nobody connects from it.
 */
export async function quietPort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const free = await new Promise<boolean>((resolve) => {
      const server = net.createServer().once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
    });
    if (free) return port;
  }
}

/** The JSON line that --summary prints, which is the last one. */
export function summaryOf(stderr: string): Record<string, number> {
  return JSON.parse(stderr.trimEnd().split("\n").at(-1)!);
}
