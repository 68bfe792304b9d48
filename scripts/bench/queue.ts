/**
 * Compares `queue serve` with RabbitMQ under the same load: bench/load_amqp.c on librabbitmq. Both brokers run at the
 * same time and are measured in turns; the result is the ratio. `--sync flush` has the same guarantee as RabbitMQ's
 * classic queues, so this is the comparable row; `confirm` syncs the disk before each confirm.
 *
 *   deno task bench:queue [rates|depth|start]...      default: all of them
 *
 * rates: publishing with confirms and consuming with acknowledgements. depth: the same on a queue that holds up to five
 * million messages. start: how long the broker takes until it is ready, with ten million messages, too, and its memory.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { RabbitMq } from "../../tests/support/rabbitmq.ts";
import { compileWithBun } from "../compile_bun.ts";

const ROUNDS = 5;
const COUNT = 100_000;
/** Messages per measurement of a depth: enough for about a second. */
const DEPTH_COUNT = 500_000;
const DEPTHS = [0, 100_000, 1_000_000, 2_000_000, 5_000_000];
const MANY = 10_000_000;
/** The time limit of each step, in milliseconds. */
const PATIENCE = 300_000;

interface Server {
  readonly name: string;
  readonly port: number;
  stop(): Promise<void>;
}

/** The report of one run of the load. */
interface Figures {
  readonly rate: number;
  readonly refused: number;
}

const LOADS = [
  { name: "publish, confirms", mode: "publish", options: [] },
  { name: "consume, acks of 100", mode: "consume", options: [] },
  { name: "publish, 2 connections", mode: "publish", options: ["-c", "2"] },
  { name: "consume, acks of 1", mode: "consume", options: ["-k", "1"] },
] as const;

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "mqcat-bench-"));
const binary = compileWithBun();
const load = path.join(directory, "load_amqp");
const source = fileURLToPath(new URL("load_amqp.c", import.meta.url));
execFileSync("gcc", ["-O2", "-pthread", "-o", load, source, "-lrabbitmq"], { stdio: "inherit" });

/** mqcat's broker as a process: `queue serve` of the binary. */
class Ours implements Server {
  readonly name: string;
  readonly port: number;
  /** The time from the start of the process until it listens, in milliseconds. */
  readonly readyMs: number;
  readonly #child: ChildProcess;

  private constructor(name: string, port: number, readyMs: number, child: ChildProcess) {
    this.name = name;
    this.port = port;
    this.readyMs = readyMs;
    this.#child = child;
  }

  static async start(...options: string[]): Promise<Ours> {
    const began = performance.now();
    const child = spawn(binary, ["queue", "serve", "amqp://127.0.0.1:0", ...options], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    const port = await new Promise<number>((resolve, reject) => {
      child.stderr!.setEncoding("utf8").on("data", (text: string) => {
        said += text;
        const match = /listening on amqp:\/\/127\.0\.0\.1:(\d+)/.exec(said);
        if (match !== null) resolve(Number(match[1]));
      });
      child.on("close", () => reject(new Error(`queue serve ended: ${said}`)));
    });
    const name = options.includes("--memory") ? "mqcat, memory" : `mqcat, ${options.slice(0, 2).join(" ")}`;
    return new Ours(name, port, performance.now() - began, child);
  }

  get residentMiB(): number {
    const status = fs.readFileSync(`/proc/${this.#child.pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+)/m.exec(status)![1]) / 1024;
  }

  stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    return new Promise((resolve) => {
      this.#child.once("close", () => resolve());
      this.#child.kill(signal);
    });
  }
}

async function rabbitMq(): Promise<Server> {
  const broker = await RabbitMq.start();
  return { name: "RabbitMQ", port: broker.port, stop: () => broker.stop() };
}

function data(name: string): string {
  return path.join(directory, name);
}

async function run({ port }: Server, mode: string, count: number, ...options: string[]): Promise<Figures> {
  const args = [mode, String(port), "bench", String(count), ...options];
  const child = spawn(load, args, { stdio: ["ignore", "pipe", "inherit"], timeout: PATIENCE });
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => printed += text);
  const status = await new Promise((resolve) => child.on("close", resolve));
  if (status !== 0) throw new Error(`load_amqp ${args.join(" ")} exited with ${status}`);
  return JSON.parse(printed);
}

async function rates(): Promise<void> {
  const servers: Server[] = [
    await rabbitMq(),
    await Ours.start("--sync", "flush", "--data", data("flush")),
    await Ours.start("--sync", "confirm", "--data", data("confirm")),
  ];
  try {
    const measured = new Map(servers.map((server) => [server, LOADS.map((): number[] => [])]));
    for (let round = 0; round < ROUNDS; round++) {
      for (const [server, lists] of measured) {
        for (const [at, { mode, options }] of LOADS.entries()) {
          lists[at]!.push((await run(server, mode, COUNT, ...options)).rate);
        }
      }
    }
    console.log(`\n${COUNT} persistent messages of 100 bytes, median of ${ROUNDS} rounds, messages a second`);
    const base = measured.get(servers[0]!)!;
    for (const [at, { name }] of LOADS.entries()) {
      console.log(`\n${name}`);
      for (const [server, lists] of measured) {
        const ratio = median(lists[at]!.map((rate, round) => rate / base[at]![round]!));
        print(server.name, median(lists[at]!), `ratio ${ratio.toFixed(2)}`);
      }
    }
  } finally {
    for (const server of servers) await server.stop();
  }
}

/** Measures the rates of a queue by its depth. The messages that are already in the queue stay there. */
async function depth(): Promise<void> {
  const server = await Ours.start("--sync", "flush", "--data", data("depth"));
  try {
    console.log("\nby depth, --sync flush, messages a second");
    // A broker is slower right after its start, at any depth.
    await run(server, "publish", DEPTH_COUNT);
    await run(server, "consume", DEPTH_COUNT);
    let there = 0;
    const base: number[] = [];
    for (const goal of DEPTHS) {
      if (goal > there) await run(server, "publish", goal - there);
      there = goal;
      const published: number[] = [];
      const consumed: number[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        published.push((await run(server, "publish", DEPTH_COUNT)).rate);
        consumed.push((await run(server, "consume", DEPTH_COUNT)).rate);
      }
      base.push(median(published), median(consumed));
      const of = (rate: number, at: number) => `${Math.round(rate)} (${(rate / base[at]!).toFixed(2)})`;
      console.log(
        `${String(goal).padStart(9)}   publish ${of(median(published), 0)}   ` +
          `consume ${of(median(consumed), 1)}   resident ${server.residentMiB.toFixed(0)} MiB`,
      );
    }
  } finally {
    await server.stop();
  }
}

async function start(): Promise<void> {
  const ready: number[] = [];
  for (let round = 0; round < 11; round++) {
    const server = await Ours.start("--memory");
    ready.push(server.readyMs);
    await server.stop();
  }
  console.log(`\nstart: ready after ${median(ready).toFixed(0)} ms (median of 11, ${spread(ready)})`);
  const options = ["--sync", "flush", "--data", data("many")];
  const first = await Ours.start(...options);
  await run(first, "publish", MANY);
  console.log(
    `${MANY} messages of 100 bytes: resident ${first.residentMiB.toFixed(0)} MiB after putting them`,
  );
  await first.stop();
  for (const end of ["a clean stop", "kill -9"]) {
    const again = await Ours.start(...options);
    console.log(
      `after ${end}: ready within ${again.readyMs.toFixed(0)} ms, resident ${
        again.residentMiB.toFixed(0)
      } MiB`,
    );
    await again.stop("SIGKILL");
  }
}

function print(name: string, rate: number, more: string): void {
  console.log(`  ${name.padEnd(22)} ${String(Math.round(rate)).padStart(8)}   ${more}`);
}

function spread(values: number[]): string {
  return `${Math.min(...values).toFixed(0)} to ${Math.max(...values).toFixed(0)}`;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

const parts = { rates, depth, start };
try {
  const asked = process.argv.slice(2).length === 0 ? Object.keys(parts) : process.argv.slice(2);
  for (const name of asked) {
    const part = parts[name as keyof typeof parts];
    if (part === undefined) {
      throw new Error(`There is no part '${name}': there are ${Object.keys(parts).join(", ")}`);
    }
    await part();
  }
} finally {
  fs.rmSync(directory, { recursive: true });
}
