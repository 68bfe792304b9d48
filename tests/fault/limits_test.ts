/** The program at the limits of the system: file descriptors, processes, a full disk, a reader that stands still. */
import assert from "node:assert/strict";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { Push } from "../../mod.ts";
import { installed, tempDir, waitFor } from "../support/helpers.ts";
import {
  bytesRead,
  PATIENCE,
  type Program,
  run,
  settled,
  shell,
  start,
  target,
  test,
} from "../support/mqcat.ts";

const numbers = (count: number) => Array.from({ length: count }, (_, i) => `${i + 1}\n`).join("");
const sorted = (text: string) => text.trimEnd().split("\n").map(Number).sort((a, b) => a - b);
const range = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

/** How many descriptors a process has. */
const descriptors = (pid: number) => fs.readdirSync(`/proc/${pid}/fd`).length;

/** Starts mqcat in a shell that sets a limit; the process is mqcat itself. */
const limited = (limit: string, args: readonly string[]) =>
  shell(`ulimit ${limit}; exec "\${MQCAT[@]}" ${args.map((word) => `'${word}'`).join(" ")}`);

const atRest = new Map<string, number>();

/** A limit of descriptors: as many as the program needs at rest, and some more. */
async function tight(args: readonly string[], spare: number): Promise<string> {
  const key = args.join(" ");
  let needed = atRest.get(key);
  if (needed === undefined) {
    using idle = start(args);
    await idle.readyEndpoint();
    atRest.set(key, needed = descriptors(idle.pid));
  }
  return `-n ${needed + spare}`;
}

const shortage = /--exec: cannot start another command: [^\n]+ \(E[A-Z]+\); continuing with fewer at a time/;
const countOf = (text: string, pattern: RegExp) => text.split(pattern).length - 1;

/** The processor time of a process, in seconds. */
function cpuTime(pid: number): number {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Connects raw sockets; resolves when all are connected or refused. */
async function crowd(endpoint: string, count: number): Promise<net.Socket[]> {
  const port = Number(/:(\d+)/.exec(endpoint.slice(6))![1]);
  return await Promise.all(
    range(count).map(() =>
      new Promise<net.Socket>((resolve) => {
        const socket = net.connect(port, "127.0.0.1", () => resolve(socket));
        socket.on("error", () => resolve(socket));
      })
    ),
  );
}

describe("out of file descriptors", () => {
  test("pull --exec -j - runs fewer commands at a time, reports it once, and loses nothing", async () => {
    const limit = await tight(["pull", ":0"], 16);
    using pull = limited(limit, ["pull", ":0", "-n", "40", "-j", "40", "--exec", "sleep 0.1; cat"]);
    const push = await run(["push", await pull.readyEndpoint()], { stdin: numbers(40) });
    const { code, stdout, stderr } = await pull.exit();
    assert.deepEqual([push.code, code], [0, 0], stderr);
    assert.deepEqual(sorted(stdout.toString()), range(40));
    assert.equal(countOf(stderr, shortage), 1, stderr);
  });

  test("pull --exec -j - obeys a signal, and counts the messages whose command did not run", async () => {
    const limit = await tight(["pull", ":0"], 16);
    const exec = ["-j", "40", "--exec", "read n; sleep 0.5; echo $n"];
    using pull = limited(limit, ["pull", ":0", ...exec]);
    assert.equal((await run(["push", await pull.readyEndpoint()], { stdin: numbers(40) })).code, 0);
    await pull.waitForStderr(shortage);
    pull.kill();
    const { code, stdout, stderr } = await pull.exit();
    const left = Number(/--exec was not run for (\d+) messages? that arrived/.exec(stderr)?.[1] ?? 0);
    assert.equal(code, 5, stderr);
    assert.equal(sorted(stdout.toString()).length + left, 40, stderr);
  });

  test("queue get --exec -j - acknowledges each message after its command", async () => {
    using broker = start(["queue", "serve", ":0", "--memory"]);
    const url = ["--url", await broker.readyEndpoint()];
    assert.equal((await run(["queue", "declare", "q", ...url])).code, 0);
    assert.equal((await run(["queue", "put", "q", ...url], { stdin: numbers(40) })).code, 0);
    // A queue without messages: no command starts, which would outlive the killed process.
    using idle = start(["queue", "get", "empty", "--declare", ...url, "--exec", "cat", "-v"]);
    await idle.waitForStderr(/connected: /);
    const limit = `-n ${descriptors(idle.pid) + 10}`;
    idle.kill("SIGKILL");
    await idle.exit();
    using get = limited(limit, [
      ...["queue", "get", "q", ...url, "-j", "40", "--drain"],
      ...["--exec", "sleep 0.1; cat"],
    ]);
    const { code, stdout, stderr } = await get.exit();
    assert.equal(code, 0, stderr);
    assert.deepEqual(sorted(stdout.toString()), range(40));
    assert.equal(countOf(stderr, shortage), 1, stderr);
    const left = await run(["queue", "get", "q", ...url, "--drain"]);
    assert.equal(left.stdout.toString(), "");
  });

  test("rep --exec -j - keeps replying", async () => {
    const limit = await tight(["pull", ":0"], 18);
    using rep = limited(limit, ["rep", ":0", "-j", "30", "--exec", "sleep 0.1; cat"]);
    const endpoint = await rep.readyEndpoint();
    const requests = range(30).map((n) => `{"parts":["","${n}"]}\n`).join("");
    const dealer = await run(["dealer", endpoint, "-J", "-n", "30"], { stdin: requests });
    assert.equal(dealer.code, 0, dealer.stderr);
    const replies = dealer.stdout.toString().trimEnd().split("\n").map((line) => JSON.parse(line).parts[1]);
    assert.deepEqual(replies.map(Number).sort((a, b) => a - b), range(30));
    assert.equal(countOf(rep.stderr, shortage), 1, rep.stderr);
    assert.equal((await run(["req", endpoint, "-D", "more"])).stdout.toString(), "more\n");
    rep.kill();
    assert.equal((await rep.exit()).code, 143);
  });

  for (
    const [name, args, more] of [
      ["pull", ["pull", ":0"], ["pull", ":0"]],
      ["queue serve", ["queue", "serve", ":0", "--memory"], ["queue", "serve", ":0", "--memory"]],
    ] as const
  ) {
    test(`${name} - refuses connections without using the processor, and accepts them later`, async () => {
      using server = limited(await tight(args, 24), more);
      const endpoint = await server.readyEndpoint();
      const sockets = await crowd(endpoint, 60);
      await server.waitForStderr(/this process may open \d+ files, and almost all are in use/);
      // Two seconds are the period of the measurement; a busy accept loop takes a third of a processor.
      const before = cpuTime(server.pid);
      await new Promise((resolve) => setTimeout(resolve, 2000));
      const used = cpuTime(server.pid) - before;
      assert.ok(used < 0.3, `${used} s of 2 s`);
      for (const socket of sockets) socket.destroy();
      await waitFor(() => descriptors(server.pid) < 60, 10_000, "the end of the connections");
      if (name === "pull") {
        assert.equal((await run(["push", endpoint, "-D", "x"])).code, 0);
        await server.waitForStdout(/^x\n$/);
      } else {
        const declare = await run(["queue", "declare", "q", "--url", endpoint]);
        assert.equal(declare.code, 0, declare.stderr);
      }
      server.kill();
      assert.equal((await server.exit()).code, 143);
    });
  }
});

describe("out of processes", () => {
  const name = "pull --exec -j - runs fewer commands at a time, and loses nothing";
  const { MQCAT_BUNDLE: bundle, MQCAT_DENO: deno = "" } = process.env;
  const skip = target !== "deno"
    ? "Bun 1.4.5 itself aborts when it cannot start a thread"
    : process.getuid?.() !== 0 || !installed("setpriv")
    ? "only root can become another user, with setpriv"
    : bundle === undefined
    ? "the bundle is not built"
    : false;

  it(name, { skip, timeout: 3 * PATIENCE }, async () => {
    // Root has no limit of processes, so the program runs as a user that owns nothing else. That user may not read the
    // folders of root, so it gets copies.
    using dir = tempDir();
    fs.chmodSync(dir.path, 0o777);
    fs.copyFileSync(deno, dir.file("deno"));
    fs.cpSync(path.dirname(bundle!), dir.file("bundle"), { recursive: true });
    const user = 60_000 + Math.floor(Math.random() * 5000);
    const command = `ulimit -u 36
      exec ./deno run -A --no-check bundle/main.js pull :0 -n 30 -j 30 --exec 'read n; echo $n; exec sleep 0.5'`;
    using pull = shell(
      `exec setpriv --reuid=${user} --regid=${user} --clear-groups bash -c "$LIMITED"`,
      { env: { HOME: dir.path, DENO_DIR: dir.file("cache"), LIMITED: command }, cwd: dir.path },
    );
    const push = await run(["push", await pull.readyEndpoint()], { stdin: numbers(30) });
    const { code, stdout, stderr } = await pull.exit();
    assert.deepEqual([push.code, code], [0, 0], stderr);
    assert.deepEqual(sorted(stdout.toString()), range(30));
    assert.equal(countOf(stderr, shortage), 1, stderr);
  });
});

describe("a reader of stdout that stands still", () => {
  /** Starts mqcat with a stdout that nobody reads: a FIFO whose reader only holds it open. */
  const unread = (dir: string, args: string) =>
    shell(`mkfifo ${dir}/out; exec 3<>${dir}/out; exec "\${MQCAT[@]}" ${args} >${dir}/out`);

  const stops = async (stuck: Program) => {
    stuck.kill();
    await stuck.waitForStderr(
      /waiting for the reader of stdout to take \d+ bytes; again to stop now\n/,
    );
    stuck.kill();
    assert.equal((await stuck.exit()).code, 143);
  };

  test("pull - the first signal says what it waits for, and the second one stops at once", async () => {
    using dir = tempDir();
    using pull = unread(dir.path, "pull :0");
    using push = start(["push", await pull.readyEndpoint()], { stdin: numbers(300_000) });
    await push.exit();
    await stops(pull);
  });

  test("queue get - the same", async () => {
    using dir = tempDir();
    const long = numbers(1000).replaceAll("\n", `${".".repeat(500)}\n`);
    using broker = start(["queue", "serve", ":0", "--memory"]);
    const url = await broker.readyEndpoint();
    assert.equal((await run(["queue", "declare", "q", "--url", url])).code, 0);
    assert.equal((await run(["queue", "put", "q", "--url", url], { stdin: long })).code, 0);
    using get = unread(dir.path, `queue get q --url ${url} -v`);
    await get.waitForStderr(/connected: /);
    await settled(() => bytesRead(get.pid), "a full pipe");
    await stops(get);
  });

  test("pull - ends at the first signal when the reader goes on", async () => {
    using dir = tempDir();
    using pull = unread(dir.path, "pull :0");
    const push = await run(["push", await pull.readyEndpoint()], { stdin: numbers(300_000) });
    assert.equal(push.code, 0);
    pull.kill();
    await pull.waitForStderr(/waiting for the reader of stdout/);
    using reader = shell(`cat ${dir.file("out")}`);
    assert.equal((await pull.exit()).code, 143);
    await reader.waitForStdout(/\n300000\n$/);
  });

  test("pull - ends at the first signal although a sender goes on and the reader is slow", async () => {
    using dir = tempDir();
    using pull = unread(dir.path, "pull :0");
    await using push = new Push();
    push.connect(await pull.readyEndpoint());
    let sent = 0;
    const sending = (async () => {
      while (await push.send("x".repeat(1000)).then(() => true, () => false)) sent++;
    })();
    await waitFor(() => sent > 1000, 20_000, "a full output");
    await settled(() => sent, "a paused sender");
    pull.kill();
    await pull.waitForStderr(/waiting for the reader of stdout/);
    using _reader = shell(
      `exec <${dir.file("out")}; while dd bs=64K count=1 of=/dev/null status=none; do sleep 0.005; done`,
    );
    assert.equal((await pull.exit()).code, 143);
    await push.close();
    await sending;
  });

  test("stderr in the same pipe does not stop signals either", async () => {
    using dir = tempDir();
    using pull = shell(
      `mkfifo ${dir.path}/out; exec 3<>${dir.path}/out
      exec "\${MQCAT[@]}" pull :0 --ready-file ${dir.path}/ready >${dir.path}/out 2>&1`,
    );
    await waitFor(() => fs.existsSync(dir.file("ready")), 20_000, "the ready file");
    const endpoint = fs.readFileSync(dir.file("ready"), "utf8").trim();
    assert.equal((await run(["push", endpoint], { stdin: numbers(300_000) })).code, 0);
    const again = setInterval(() => pull.kill(), 300);
    try {
      assert.equal((await pull.exit()).code, 143);
    } finally {
      clearInterval(again);
    }
  });
});
