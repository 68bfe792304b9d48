/**
 * Compares PUSH to PULL with a C tool on libzmq: one process reads lines from a file and sends them over tcp on
 * loopback, another one receives and prints them. The time includes the start of the processes. The tools run in turns, and the
 * result is the ratio.
 *
 *   deno task bench [ROUNDS]
 */
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { type CurveKeyPair, encodeZ85, formatKeyFile, generateKeyPair } from "../../mod.ts";
import { findBun } from "../bun.ts";
import { compileWithBun } from "../compile_bun.ts";

const ROUNDS = Number(process.argv[2] ?? 5);
const CASES = [
  { name: "63-byte lines", length: 63, count: 5_000_000, curve: false },
  { name: "1 KiB lines", length: 1023, count: 1_000_000, curve: false },
  { name: "63-byte lines under CURVE", length: 63, count: 2_000_000, curve: true },
  { name: "1 KiB lines under CURVE", length: 1023, count: 500_000, curve: true },
];
const here = fileURLToPath(new URL(".", import.meta.url));
const main = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));

/** The server's key pair, for the cases with CURVE. */
interface Keys extends CurveKeyPair {
  /** The file with both keys. */
  readonly path: string;
}

interface Tool {
  readonly name: string;
  pull(endpoint: string, count: number, keys?: Keys): string[];
  push(endpoint: string, keys?: Keys): string[];
  /** What the receiver prints on stderr when it is bound. */
  readonly ready: string;
}

function mqcat(name: string, command: readonly string[]): Tool {
  return {
    name,
    pull: (endpoint, count, keys) => [
      ...[...command, "pull", endpoint, "-n", String(count)],
      ...(keys === undefined ? [] : ["--curve-server", "--curve-key", keys.path]),
    ],
    push: (endpoint, keys) => [
      ...[...command, "push", endpoint],
      ...(keys === undefined ? [] : ["--curve-server-key", String(keys.publicKey)]),
    ],
    ready: "listening on",
  };
}

function yardstick(directory: string): Tool {
  const binary = path.join(directory, "line_zmq");
  execFileSync("gcc", ["-O2", "-o", binary, path.join(here, "line_zmq.c"), "-lzmq"], { stdio: "inherit" });
  return {
    name: "C on libzmq",
    pull: (endpoint, count) => [binary, "pull", endpoint, String(count)],
    push: (endpoint) => [binary, "push", endpoint],
    ready: "ready",
  };
}

/** Messages per second, from the start of the sender to the end of the receiver. */
async function measure(tool: Tool, input: string, count: number, keys?: Keys): Promise<number> {
  const endpoint = `tcp://127.0.0.1:${20_000 + Math.floor(Math.random() * 10_000)}`;
  const pull = start(tool.pull(endpoint, count, keys), "ignore", keys);
  await says(pull, tool.ready);
  const began = performance.now();
  const file = fs.openSync(input, "r");
  const push = start(tool.push(endpoint, keys), file, keys);
  fs.closeSync(file);
  await Promise.all([ended(push, tool.name), ended(pull, tool.name)]);
  return count / (performance.now() - began) * 1000;
}

function start(command: string[], stdin: number | "ignore", keys?: Keys) {
  const env = keys && { LINE_ZMQ_PUBLIC: String(keys.publicKey), LINE_ZMQ_SECRET: String(keys.secretKey) };
  return spawn(command[0]!, command.slice(1), {
    stdio: [stdin, fs.openSync("/dev/null", "w"), "pipe"],
    env: { ...process.env, ...env },
  });
}

type Child = ReturnType<typeof start>;

function says(child: Child, word: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let heard = "";
    child.stderr!.on("data", (chunk) => {
      heard += chunk;
      if (heard.includes(word)) resolve();
    });
    child.on("close", () => reject(new Error(`the receiver ended before it was ready: ${heard}`)));
  });
}

function ended(child: Child, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => child.kill("SIGKILL"), 120_000);
    child.on("close", (status) => {
      clearTimeout(timer);
      if (status === 0) resolve();
      else reject(new Error(`${name} exited with ${status}`));
    });
  });
}

async function makeKeys(path: string): Promise<Keys> {
  const { publicKey, secretKey } = await generateKeyPair();
  fs.writeFileSync(path, formatKeyFile("for one run", { publicKey, secretKey }), { mode: 0o600 });
  return { path, publicKey: encodeZ85(publicKey), secretKey: encodeZ85(secretKey) };
}

function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "mqcat-bench-"));
try {
  const reference = yardstick(directory);
  const tools = [
    mqcat("mqcat on Deno", [process.execPath, "run", "-A", "--no-check", main]),
    mqcat("mqcat on Bun", [findBun(), main]),
    mqcat("mqcat binary", [compileWithBun()]),
  ];
  const keys = await makeKeys(path.join(directory, "server.key_secret"));
  for (const { name, length, count, curve } of CASES) {
    const input = path.join(directory, "lines");
    const line = `${"x".repeat(length)}\n`;
    const block = line.repeat(Math.floor((1 << 20) / line.length));
    const out = fs.openSync(input, "w");
    for (let left = count; left > 0; left -= block.length / line.length) {
      fs.writeSync(out, left * line.length < block.length ? line.repeat(left) : block);
    }
    fs.closeSync(out);
    const rates = new Map([reference, ...tools].map((tool) => [tool, [] as number[]]));
    for (let round = 0; round < ROUNDS; round++) {
      for (const [tool, list] of rates) {
        list.push(await measure(tool, input, count, curve ? keys : undefined));
      }
    }
    console.log(`\n${name}, ${count} of them, median of ${ROUNDS} rounds`);
    const base = rates.get(reference)!;
    for (const [tool, list] of rates) {
      const ratio = median(list.map((rate, round) => rate / base[round]!));
      console.log(
        `${tool.name.padEnd(14)} ${(median(list) / 1e6).toFixed(2)} M/s   ratio ${ratio.toFixed(2)}`,
      );
    }
  }
} finally {
  fs.rmSync(directory, { recursive: true });
}
