/**
 * Puts numbered lines into a quorum queue and takes them out with a command for each, at a cluster of three RabbitMQ nodes of which
 * one is killed and restarted again and again. It counts lost and duplicated lines, and fails if a line is lost or an exit code is not 0.
 *
 *   deno task cluster                        1,000,000 lines, a node is killed every 20 s
 *   deno task cluster 100000 10              100,000 lines, a node is killed every 10 s
 *
 * The task runs `dist/mqcat-bun`, which `deno task compile:bun` builds.
 */
import fs from "node:fs";
import process from "node:process";
import { tempDir } from "../tests/support/helpers.ts";
import { type Program, residentBytes, run, start } from "../tests/support/mqcat.ts";
import { type NodeName, RabbitMqCluster } from "../tests/support/rabbitmq_cluster.ts";

const QUEUE = "soak";
const JOBS = 8;
/** A quorum queue needs a write to the disks of two nodes for each acknowledgement, before it delivers the next message. */
const PREFETCH = 200;
/** The number of messages in the queue at which the other end starts: `--drain` must not find it empty. */
const AHEAD = 1000;
/** The longest that a run may take, in milliseconds. */
const DEADLINE_MS = 4 * 3_600_000;
/** The interval between checks of the processes, in milliseconds. */
const LOOK_MS = 500;
const NEWLINE = 10;

// An exit ends the programs, which a signal alone would leave.
process.on("SIGINT", () => process.exit(130)).on("SIGTERM", () => process.exit(143));

const [lines, every] = [Number(process.argv[2] ?? 1_000_000), 1000 * Number(process.argv[3] ?? 20)];

/** Kills one node after the other, and restarts it, until both ends have exited. */
async function disturb(cluster: RabbitMqCluster, programs: readonly Program[]): Promise<number> {
  const order: readonly NodeName[] = ["b", "c", "a"];
  for (let kills = 0;; kills++) {
    const until = performance.now() + every;
    while (performance.now() < until) {
      if (programs.every(({ code }) => code !== undefined)) return kills;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    const node = order[kills % order.length]!;
    await cluster.kill(node);
    await cluster.restart(node);
  }
}

/** Counts how often each number is a line of a file. */
function arrivals(file: string): Uint8Array {
  const counts = new Uint8Array(lines);
  const bytes = fs.readFileSync(file);
  let number = 0;
  for (const byte of bytes) {
    if (byte !== NEWLINE) number = number * 10 + byte - 48;
    else {
      counts[number] = counts[number]! + 1;
      number = 0;
    }
  }
  return counts;
}

/** The largest resident memory of processes, in MiB, until they have exited. */
function peaks(programs: readonly Program[]): number[] {
  const largest = programs.map(() => 0);
  const timer = setInterval(() => {
    programs.forEach(({ pid }, i) =>
      largest[i] = Math.max(largest[i]!, Math.round(residentBytes(pid) / 2 ** 20))
    );
    if (programs.every(({ code }) => code !== undefined)) clearInterval(timer);
  }, LOOK_MS);
  return largest;
}

async function main(): Promise<boolean> {
  using dir = tempDir();
  const [input, output] = [dir.file("in"), dir.file("out")];
  fs.writeFileSync(input, Array.from({ length: lines }, (_, i) => `${i}\n`).join(""));
  await using cluster = await RabbitMqCluster.start();
  const url = ["--url", cluster.urls()];
  const declared = await run(["queue", "declare", QUEUE, "--type", "quorum", ...url]);
  if (declared.code !== 0) throw new Error(declared.stderr);
  const began = performance.now();
  const stdin = fs.openSync(input, "r");
  // While the nodes are low on memory, the broker confirms nothing until the other end has taken enough.
  const putting = ["queue", "put", QUEUE, "--linger", "10m", "--summary", ...url];
  using put = start(putting, { stdinFrom: stdin });
  fs.closeSync(stdin);
  await ahead(url);
  const jobs = ["--exec", "cat", "-j", String(JOBS), "--prefetch", String(PREFETCH)];
  const get = ["queue", "get", QUEUE, "--drain", ...jobs, "--summary", ...url];
  using taken = start(get, { stdout: output });
  const memory = peaks([put, taken]);
  const kills = await disturb(cluster, [put, taken]);
  const [putEnd, getEnd] = [await put.exit(DEADLINE_MS), await taken.exit(DEADLINE_MS)];
  const counts = arrivals(output);
  const lost = counts.filter((count) => count === 0).length;
  const duplicated = counts.reduce((sum, count) => sum + Math.max(0, count - 1), 0);
  const left = await run(["queue", "get", QUEUE, "--drain", ...url]);
  console.log(
    `${lines} lines, ${kills} kills, ${
      Math.round((performance.now() - began) / 1000)
    } s: ${lost} lost, ${duplicated} duplicated, ` +
      `${left.stdout.length === 0 ? "none" : "some"} left\n` +
      `put: exit code ${putEnd.code}, ${memory[0]} MiB; get: exit code ${getEnd.code}, ${memory[1]} MiB`,
  );
  const isGood = putEnd.code === 0 && getEnd.code === 0 && lost === 0 && left.stdout.length === 0;
  if (!isGood) console.log(`${putEnd.stderr.slice(-2000)}\n${getEnd.stderr.slice(-2000)}`);
  return isGood;
}

/** Waits until the queue has some messages. */
async function ahead(url: readonly string[]): Promise<void> {
  for (;;) {
    const { stdout } = await run(["queue", "info", QUEUE, "-J", ...url]);
    if (stdout.length > 0 && JSON.parse(stdout.toString()).messages_ready >= Math.min(AHEAD, lines)) return;
  }
}

process.exit(await main() ? 0 : 1);
