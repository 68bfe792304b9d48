/**
 * Runs the main use case on real input, with real processes that are connected by sockets, as in a shell. Each part
 * compares its result with coreutils, and the demo fails if one differs.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("../cli/main.ts", import.meta.url));
/** A text with sentences, lists and code: the manual of commander, which is an installed dependency. */
const text = fileURLToPath(new URL("../node_modules/commander/Readme.md", import.meta.url));
const directory = fs.mkdtempSync(path.join(os.tmpdir(), "mqcat-demo-"));
const DEADLINE_MS = 60_000;
const running = new Set<ChildProcess>();

// The commands below call `mqcat`, as a user would.
const shim = path.join(directory, "mqcat");
fs.writeFileSync(shim, `#!/bin/sh\nexec "${process.execPath}" run -A --no-check "${main}" "$@"\n`, {
  mode: 0o755,
});
const env = { ...process.env, PATH: `${directory}:${process.env.PATH}`, TEXT: text };

/** Starts a shell command, and prints it. */
function sh(command: string): ChildProcess {
  console.log(`  $ ${command.replaceAll(directory, "$TMP")}`);
  const child = spawn("/bin/sh", ["-c", command], {
    cwd: directory,
    env,
    stdio: ["ignore", "inherit", "inherit"],
  });
  running.add(child);
  return child;
}

function end(...children: ChildProcess[]): Promise<void[]> {
  return Promise.all(children.map((child) =>
    new Promise<void>((resolve, reject) => {
      const done = (status: number | null) => {
        running.delete(child);
        if (status === 0) resolve();
        else reject(new Error(`a command of the demo exited with ${status}`));
      };
      if (child.exitCode !== null) done(child.exitCode);
      else child.on("close", done);
    })
  ));
}

/** Waits for the files that `--ready-file` writes; returns their contents. */
async function ready(...names: string[]): Promise<string[]> {
  const paths = names.map((name) => path.join(directory, name));
  const deadline = performance.now() + DEADLINE_MS;
  while (!paths.every((path) => fs.existsSync(path))) {
    if (performance.now() > deadline) throw new Error(`${names} were not written in time`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return paths.map((path) => fs.readFileSync(path, "utf8").trim());
}

function read(command: string): string {
  return execFileSync("/bin/sh", ["-c", command], {
    cwd: directory,
    env,
    encoding: "utf8",
    maxBuffer: 2 ** 28,
  });
}

function check(what: string, actual: string, expected: string): void {
  if (actual !== expected) {
    throw new Error(`${what}: got\n${actual.slice(0, 300)}\nexpected\n${expected.slice(0, 300)}`);
  }
  console.log(`  ok: ${what}`);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}

function rate(count: number, seconds: number): string {
  return `${count.toLocaleString("en")} in ${seconds.toFixed(2)} s, ${
    Math.round(count / seconds).toLocaleString("en")
  } a second`;
}

async function wordCount(): Promise<void> {
  console.log("\nA word count: push -> three pull --exec workers -> push -> pull");
  const words = "tr -cs A-Za-z '\\n' | tr A-Z a-z | grep .";
  const source = sh(`mqcat push -q @tcp://127.0.0.1:0 --wait-peers 3 --ready-file source <"$TEXT"`);
  const sink = sh(
    `mqcat pull -q tcp://127.0.0.1:0 --transient --ready-file sink | sort | uniq -c | sort -k1,1nr -k2 >counted`,
  );
  const [from, to] = await ready("source", "sink");
  const workers = [1, 2, 3].map((n) =>
    sh(
      `mqcat pull -q '>${from}' --transient -j 4 --exec "${words} || true" | mqcat push -q ${to} --ready-file worker${n}`,
    )
  );
  const seconds = await timed(() => end(source, ...workers, sink));
  const lines = Number(read(`wc -l <"$TEXT"`));
  console.log(`  lines through the workers, each in its own process: ${rate(lines, seconds)}`);
  console.log(read("head -n 3 counted").trimEnd());
  check(
    "the same counts as coreutils on the file",
    read("cat counted"),
    read(`cat "$TEXT" | ${words} | sort | uniq -c | sort -k1,1nr -k2`),
  );
}

async function filter(): Promise<void> {
  console.log(
    "\nA filter: two publishers -> sub -t NASDAQ -> a publisher on ipc -> a subscriber",
  );
  for (const [file, exchanges] of [["quotes1", "NASDAQ NYSE"], ["quotes2", "LSE NASDAQ"]] as const) {
    fs.writeFileSync(
      path.join(directory, file),
      Array.from(
        { length: 1000 },
        (_, i) => `${exchanges.split(" ")[i % 2]} ACME${i} ${(100 + i / 7).toFixed(2)}\n`,
      ).join(""),
    );
  }
  const publishers = [1, 2].map((n) => sh(`mqcat pub -q tcp://127.0.0.1:0 --ready-file pub${n} <quotes${n}`));
  const [first, second] = await ready("pub1", "pub2");
  const feed = `ipc://${directory}/nasdaq-feed`;
  const reader = sh(`mqcat sub -q ${feed} --transient >feed`);
  const middle = sh(`mqcat sub -q ${first} ${second} -t NASDAQ --transient | mqcat pub -q ${feed}`);
  await end(...publishers, middle, reader);
  console.log(read("head -n 3 feed").trimEnd());
  check(
    "the same lines as grep",
    read("sort feed"),
    read("grep -h ^NASDAQ quotes1 quotes2 | sort"),
  );
}

async function echo(): Promise<void> {
  console.log("\nAn echo of a binary file");
  const server = sh("mqcat echo-server -q 127.0.0.1:0 --once --ready-file echo");
  const [endpoint] = await ready("echo");
  const client = sh(`mqcat echo-client -q ${endpoint} <"${process.execPath}" >echoed`);
  const seconds = await timed(() => end(client, server));
  const bytes = fs.statSync(process.execPath).size;
  console.log(
    `  ${(bytes / 1e6).toFixed(0)} MB there and back in ${seconds.toFixed(2)} s, ${
      (bytes / 1e6 / seconds).toFixed(0)
    } MB/s`,
  );
  check("the same checksum", read("cksum <echoed"), read(`cksum <"${process.execPath}"`));
}

async function stream(): Promise<void> {
  console.log("\nA stream: a million lines from push to pull");
  const sink = sh("mqcat pull -q tcp://127.0.0.1:0 -n 1000000 --ready-file stream | cksum >sum");
  const [endpoint] = await ready("stream");
  const seconds = await timed(() => end(sh(`seq 1000000 | mqcat push -q ${endpoint}`), sink));
  console.log(`  messages: ${rate(1_000_000, seconds)}, start-up included`);
  check("the same checksum as seq's", read("cat sum"), read("seq 1000000 | cksum"));
}

const deadline = setTimeout(() => {
  console.error("the demo took too long");
  for (const child of running) child.kill("SIGKILL");
}, DEADLINE_MS * 2);
try {
  await wordCount();
  await filter();
  await echo();
  await stream();
  console.log("\nAll four parts succeeded.");
} finally {
  clearTimeout(deadline);
  for (const child of running) child.kill("SIGTERM");
  fs.rmSync(directory, { recursive: true, force: true });
}
