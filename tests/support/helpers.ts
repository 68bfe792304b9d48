/**
 * Helpers for all tests. The same test files run under `deno test -A` and `bun test`, so they use only the parts of
 * `node:test` that both support: `describe`, `it`, `before`, `after` and the option `skip`. (Deno ignores `t.after` and
 * counts `t.skip` as a pass; clean up with `using`, `try … finally` or `after` instead.)
 */
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { it } from "node:test";
import type { ByteStream, StreamSink } from "../../lib/transport/stream.ts";

/** The default deadline in milliseconds: long enough for a loaded machine, short enough for a waiting developer. */
export const DEADLINE = 10_000;

/**
 * Waits for `promise`; throws an error with the description `what` when it is not settled in time.
 *
 * @example `const stream = await deadline(accepted, 5000, "the accepted stream");`
 */
export async function deadline<T>(promise: PromiseLike<T>, ms = DEADLINE, what = "a promise"): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Waited ${ms} ms for ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Polls until `condition` returns a truthy value, and returns that value; throws after `ms`. */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  ms = DEADLINE,
  what = String(condition),
): Promise<T> {
  const end = performance.now() + ms;
  for (let pause = 0;; pause = Math.min(50, pause + 2)) {
    const began = performance.now();
    const value = await condition();
    if (value) return value;
    const now = performance.now();
    if (now > end) throw new Error(`Waited ${ms} ms for ${what}`);
    // A condition that starts a program leaves the processor to what it waits for.
    await new Promise((resolve) => setTimeout(resolve, Math.max(pause, now - began)));
  }
}

/** A directory for one test, removed at the end of the scope: `using dir = tempDir();`. Its path is short. */
export interface TempDir extends Disposable {
  readonly path: string;
  /** A path in the directory; the file need not exist. */
  file(name: string): string;
  /** Removes the directory and its contents; for `after` hooks. */
  remove(): void;
}

export function tempDir(): TempDir {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "mqcat-"));
  const remove = () => fs.rmSync(dir, { recursive: true, force: true });
  return { path: dir, file: (name) => path.join(dir, name), remove, [Symbol.dispose]: remove };
}

/** Whether a program is on the PATH. */
export function installed(program: string): boolean {
  return spawnSync("sh", ["-c", `command -v "$1"`, "sh", program], { stdio: "ignore" }).status === 0;
}

/**
 * `it` for tests against a foreign peer: `const test = requirePeer("zmq_peer"); test("push - …", async () => { … });`
 * If the peer is missing, the tests are skipped with "skipped: not installed"; with MQCAT_REQUIRE_PEERS=1 they fail.
 *
 * @param program the peer's name on the PATH
 * @param present whether the peer is installed, when the PATH cannot show it (for example a Python module)
 * @param timeout the time limit of one test, in milliseconds
 */
export function requirePeer(
  program: string,
  present: boolean = installed(program),
  timeout = 60_000,
): (name: string, run: () => void | Promise<void>) => void {
  if (present) return (name, run) => void it(name, { timeout }, run);
  if (process.env["MQCAT_REQUIRE_PEERS"] === "1") {
    return (name) =>
      void it(name, () => {
        throw new Error(`${program} is not installed, and MQCAT_REQUIRE_PEERS=1 needs it`);
      });
  }
  console.log(`${program} skipped: not installed`);
  return (name) => void it(name, { skip: "not installed" }, () => {});
}

/** A sink that stores copies of all chunks (a chunk is valid only during the call), and lets a test wait for them. */
export class Collector implements StreamSink {
  readonly chunks: Uint8Array[] = [];
  length = 0;
  ended = false;
  drains = 0;
  #waiting: (() => void)[] = [];

  onData(chunk: Uint8Array): void {
    this.chunks.push(chunk.slice());
    this.length += chunk.length;
    this.wake();
  }

  onEnd(): void {
    this.ended = true;
    this.wake();
  }

  onDrain(): void {
    this.drains++;
    this.wake();
  }

  /** All bytes received so far. */
  bytes(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.chunks));
  }

  /** All text received so far. */
  text(): string {
    return Buffer.concat(this.chunks).toString();
  }

  /** Waits until `count` bytes have arrived in total, and returns all bytes. */
  async atLeast(count: number, ms = DEADLINE): Promise<Uint8Array> {
    await this.until(() => this.length >= count, ms, () => `${count} bytes (${this.length} arrived)`);
    return this.bytes();
  }

  /** Waits until the peer has closed its half, and returns all bytes. */
  async untilEnd(ms = DEADLINE): Promise<Uint8Array> {
    await this.until(() => this.ended, ms, () => `the end (${this.length} bytes arrived)`);
    return this.bytes();
  }

  /** Waits for the `count`th drain. */
  untilDrains(count: number, ms = DEADLINE): Promise<void> {
    return this.until(() => this.drains >= count, ms, () => `drain ${count} (${this.drains} so far)`);
  }

  /** Waits for a condition that only an event of this sink can make true. */
  async until(condition: () => boolean, ms = DEADLINE, what = () => "a condition"): Promise<void> {
    const end = performance.now() + ms;
    while (!condition()) {
      const left = end - performance.now();
      if (left <= 0) throw new Error(`Waited ${ms} ms for ${what()}`);
      let timer: ReturnType<typeof setTimeout> | undefined;
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
        timer = setTimeout(resolve, left);
      });
      clearTimeout(timer);
    }
  }

  /** Makes every waiter check its condition again. */
  protected wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

/** A stream with a collector attached; `write` waits until the stream has accepted the bytes. */
export class TestPeer extends Collector {
  /** Whether the stream is closed, and the error that closed it. */
  over = false;
  cause: Error | undefined;

  constructor(readonly stream: ByteStream) {
    super();
    stream.closed.then((cause) => {
      this.over = true;
      this.cause = cause;
      this.wake();
    });
    stream.attach(this);
  }

  async write(bytes: Uint8Array | string, ms = DEADLINE): Promise<void> {
    const drains = this.drains;
    this.stream.write(typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes);
    await this.until(
      () => this.drains > drains || this.over,
      ms,
      () => `${bytes.length} bytes to be written`,
    );
    if (this.drains === drains) throw new Error(`The stream closed during a write: ${this.cause}`);
  }

  /** Waits until the stream is closed, and returns the error that closed it. */
  async untilClosed(ms = DEADLINE): Promise<Error | undefined> {
    await this.until(() => this.over, ms, () => "the stream to close");
    return this.cause;
  }
}
