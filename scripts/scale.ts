/**
 * Measures how the sockets scale: a ROUTER with many DEALERs, and a PUB with many SUBs of ten topics each, over TCP.
 * The many sockets run in a second process. Every message must arrive exactly once at the right socket. Time and memory are
 * printed for a quarter, a half and all of the sockets, which shows whether they grow in proportion.
 *
 *   deno task scale                      5,000 dealers, 1,000 subscribers
 *   deno task scale 500 100              500 dealers, 100 subscribers
 */
import { spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Dealer, Pub, Router, Sub } from "../mod.ts";

/** The number of messages that each dealer sends and gets back. */
const ROUND_TRIPS = 5;
const TOPICS = 1000;
const TOPICS_EACH = 10;
/** How often each topic is published. */
const ROUNDS = 5;
/** The longest that one size may take, in milliseconds. */
const DEADLINE_MS = 120_000;

/** The report of the second process at its end. */
interface Verdict {
  readonly received: number;
  readonly lost: number;
  readonly misrouted: number;
  /** Resident memory at the end, in bytes. */
  readonly memory: number;
}

/** The topics of subscriber `i`. */
function topicsOf(i: number): string[] {
  return Array.from({ length: TOPICS_EACH }, (_, k) => `t${(i + k * 97) % TOPICS}.`);
}

async function dealers(endpoint: string, count: number): Promise<void> {
  let received = 0;
  let misrouted = 0;
  await Promise.all(Array.from({ length: count }, async (_, i) => {
    const dealer = new Dealer({ identity: `d${i}`, reconnect: { first: 50, longest: 500 } });
    dealer.connect(endpoint);
    for (let n = 0; n < ROUND_TRIPS; n++) await dealer.send(`${i} ${n}`);
    for (let n = 0; n < ROUND_TRIPS; n++) {
      const message = await dealer.receive();
      received++;
      if (new TextDecoder().decode(message?.[0]) !== `${i} ${n}`) misrouted++;
    }
  }));
  report({ received, lost: count * ROUND_TRIPS - received, misrouted, memory: process.memoryUsage().rss });
}

async function subscribers(endpoint: string, count: number): Promise<void> {
  let received = 0;
  let misrouted = 0;
  await Promise.all(Array.from({ length: count }, async (_, i) => {
    const sub = new Sub({ reconnect: { first: 50, longest: 500 } });
    const topics = new Set(topicsOf(i));
    for (const topic of topics) sub.subscribe(topic);
    sub.subscribe("end");
    sub.connect(endpoint);
    for await (const [frame] of sub) {
      const text = new TextDecoder().decode(frame);
      if (text === "end") break;
      received++;
      if (!topics.has(text.slice(0, text.indexOf(".") + 1))) misrouted++;
    }
  }));
  const lost = count * TOPICS_EACH * ROUNDS - received;
  report({ received, lost, misrouted, memory: process.memoryUsage().rss });
}

function report(verdict: Verdict): void {
  console.log(JSON.stringify(verdict));
  process.exit();
}

/** Starts the second process, and returns its report. */
function many(role: string, endpoint: string, count: number): Promise<Verdict> {
  const script = fileURLToPath(import.meta.url);
  const child = spawn(process.execPath, ["run", "-A", "--no-check", script, role, endpoint, `${count}`], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), DEADLINE_MS);
  return new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => resolve(JSON.parse(line)));
    child.on("close", (code) => {
      clearTimeout(timer);
      reject(new Error(`The ${role} ended with ${code} without a report`));
    });
  });
}

async function routing(count: number): Promise<Verdict> {
  const router = new Router();
  const verdict = many("dealers", await router.bind("tcp://127.0.0.1:0"), count);
  router.consume((batch) => void router.sendBatch(batch));
  const result = await verdict;
  if (router.dropped > 0) throw new Error(`The router dropped ${router.dropped} messages`);
  await router.close();
  return result;
}

async function publishing(count: number): Promise<Verdict> {
  const pub = new Pub({ onFull: "block" });
  const verdict = many("subscribers", await pub.bind("tcp://127.0.0.1:0"), count);
  // All topics of a subscriber arrive in one write, so a subscriber with one topic has all of them.
  while (pub.subscribers < count) await pub.change();
  for (let round = 0; round < ROUNDS; round++) {
    for (let topic = 0; topic < TOPICS; topic++) await pub.send(`t${topic}.${round}`);
  }
  await pub.send("end");
  const result = await verdict;
  await pub.close();
  return result;
}

async function measure(name: string, run: (count: number) => Promise<Verdict>, most: number): Promise<void> {
  for (const count of [most / 4, most / 2, most].map(Math.ceil)) {
    const before = process.memoryUsage().rss;
    const began = performance.now();
    const { received, lost, misrouted, memory } = await run(count);
    const seconds = ((performance.now() - began) / 1000).toFixed(2);
    const here = ((process.memoryUsage().rss - before) / 1e6).toFixed(0);
    console.log(
      `${name} ${count}: ${received} messages, ${lost} lost, ${misrouted} misrouted, ${seconds} s, ` +
        `+${here} MB here, ${(memory / 1e6).toFixed(0)} MB for the ${count}`,
    );
    if (lost + misrouted > 0) process.exitCode = 1;
  }
}

const [role, ...rest] = process.argv.slice(2);
if (role === "dealers") await dealers(rest[0]!, Number(rest[1]));
else if (role === "subscribers") await subscribers(rest[0]!, Number(rest[1]));
else {
  await measure("dealers", routing, Number(role ?? 5000));
  await measure("subscribers", publishing, Number(rest[0] ?? 1000));
  process.exit();
}
