/**
 * Brokers and commands that are killed with SIGKILL at random moments. `MQCAT_SEED` repeats a run's choices,
 * `MQCAT_ROUNDS` makes it longer.
 */
import assert from "node:assert/strict";
import fs from "node:fs";
import process from "node:process";
import { describe } from "node:test";
import { tempDir, waitFor } from "../support/helpers.ts";
import { PATIENCE, quietPort, run, start, summaryOf, test } from "../support/mqcat.ts";
import { Ledger, seeded } from "./queue_ledger.ts";

/** Of each mode, for each of the three things that are tested (on Deno, on Bun, a binary): 54 in all, unless told. */
const ROUNDS = Number(process.env["MQCAT_ROUNDS"] ?? 9);
/** How many messages may be confirmed or delivered before a kill, and how long it may be behind that, in milliseconds. */
const EVENTS = 2000;
const BEHIND_MS = 5;

const SEED = Number(process.env["MQCAT_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

function seed(name: string): () => number {
  console.log(`${name}: MQCAT_SEED=${SEED}`);
  return seeded(SEED);
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe("kill -9", () => {
  for (const sync of ["confirm", "flush"]) {
    test(`queue serve --sync ${sync} - no confirmed message is lost, no acknowledged one comes again`, async () => {
      using dir = tempDir();
      const random = seed(`--sync ${sync}`);
      const ledger = new Ledger(random);
      const args = ["queue", "serve", "amqp://127.0.0.1:0", "--data", dir.file("data"), "--sync", sync];
      let readyMs = 0;
      for (let round = 0; round < ROUNDS; round++) {
        using broker = start(args);
        const began = performance.now();
        if (round % 4 === 3) await pause(random() * readyMs);
        else {
          const url = await broker.readyEndpoint();
          readyMs = performance.now() - began;
          const moment = ledger.after(random() * EVENTS);
          const life = ledger.live(url);
          await Promise.race([life, moment]);
          await pause(random() * BEHIND_MS);
          broker.kill("SIGKILL");
          await life;
        }
        broker.kill("SIGKILL");
        await broker.exit();
      }
      using last = start(args);
      await ledger.finish(await last.readyEndpoint());
      ledger.close();
      const { confirmed, safelyAcknowledged, violations, messages } = ledger;
      console.log(
        `${messages} messages, ${confirmed.size} confirmed, ${safelyAcknowledged.size} safely acknowledged`,
      );
      assert.deepEqual(violations.slice(0, 5), []);
      assert.ok(confirmed.size >= messages && messages > 100, `${messages} messages`);
      assert.ok(safelyAcknowledged.size > 0, "acknowledgements were put to the test");
      last.kill("SIGTERM");
      assert.equal((await last.exit()).code, 143);
      const info = await run(["queue", "info", "ledger", "--data", dir.file("data"), "-q"]);
      assert.match(info.stdout.toString(), /^messages_ready: 0$/m);
    });
  }

  test("the broker of queue put and queue get - they go on with the next one, and every line comes through", async () => {
    using dir = tempDir();
    const random = seed("put and get");
    const port = await quietPort();
    const url = ["--url", `amqp://127.0.0.1:${port}`];
    const serve = async () => {
      const broker = start(["queue", "serve", `:${port}`, "--data", dir.file("data")]);
      await broker.readyEndpoint();
      return broker;
    };
    const input = Array.from({ length: 30_000 }, (_, i) => `line ${i + 1}`);
    let broker = await serve();
    try {
      using put = start(["queue", "put", "q", "--summary", ...url], {
        stdin: `${input.join("\n")}\n`,
        open: true,
      });
      using get = start(["queue", "get", "q", ...url]);
      for (let round = 0; round < 4; round++) {
        await get.waitForStdout(/\n/);
        await pause(random() * 50);
        broker.kill("SIGKILL");
        await broker.exit();
        broker = await serve();
      }
      put.end();
      const { code, stderr } = await put.exit();
      assert.deepEqual([code, summaryOf(stderr)["confirmed"]], [0, input.length], stderr);
      assert.match(stderr, /lost amqp:.*connecting again/);
      const seen = () => new Set(get.text.split("\n").slice(0, -1));
      await waitFor(() => seen().size === input.length, PATIENCE, "all lines");
      get.kill();
      assert.equal((await get.exit()).code, 143);
      assert.equal(
        (await run(["queue", "info", "q", "-q", ...url])).stdout.toString().match(/ready: (\d+)/)?.[1],
        "0",
      );
    } finally {
      broker[Symbol.dispose]();
    }
  });

  test("queue put --data - what an earlier put confirmed is there, and behind it a part from the beginning", async () => {
    using dir = tempDir();
    const random = seed("put --data");
    const data = dir.file("data");
    const input = Array.from({ length: 20_000 }, (_, i) => `line ${i + 1}`);
    const began = performance.now();
    const whole = await run(["queue", "put", "timed", "--data", data], { stdin: `${input.join("\n")}\n` });
    assert.equal(whole.code, 0, whole.stderr);
    const wholeMs = performance.now() - began;
    assert.equal((await run(["queue", "put", "q", "--data", data], { stdin: "first\n" })).code, 0);
    let partial = 0;
    for (let round = 0; round < 5; round++) {
      using put = start(["queue", "put", "q", "--data", data], { stdin: `${input.join("\n")}\n` });
      await pause(wholeMs * (0.3 + random()));
      put.kill("SIGKILL");
      const ended = await put.exit();
      const { code, stdout, stderr } = await run(["queue", "get", "q", "--data", data, "--drain"]);
      assert.equal(code, 0, stderr);
      const got = stdout.toString().split("\n").slice(0, -1);
      if (round === 0) assert.equal(got.shift(), "first");
      assert.deepEqual(got, input.slice(0, ended.code === 0 ? input.length : got.length));
      if (got.length > 0) partial++;
    }
    assert.ok(partial > 0, "it was killed too early every time");
  });

  test("queue get --data - each line comes to one of the killed ones, or is still there", async () => {
    using dir = tempDir();
    const random = seed("get --data");
    const data = dir.file("data");
    const input = Array.from({ length: 50_000 }, (_, i) => `line ${i + 1}`);
    assert.equal(
      (await run(["queue", "put", "q", "--data", data], { stdin: `${input.join("\n")}\n` })).code,
      0,
    );
    const seen = new Set<string>();
    for (let round = 0; round < 5; round++) {
      using get = start(["queue", "get", "q", "--data", data], { stdout: dir.file(`out${round}`) });
      await pause(random() * 500);
      get.kill("SIGKILL");
      await get.exit();
      // The last line may be cut: then it was not acknowledged.
      for (const line of fs.readFileSync(dir.file(`out${round}`), "utf8").split("\n").slice(0, -1)) {
        seen.add(line);
      }
    }
    const { code, stdout, stderr } = await run(["queue", "get", "q", "--data", data, "--drain"]);
    assert.equal(code, 0, stderr);
    for (const line of stdout.toString().split("\n").slice(0, -1)) seen.add(line);
    assert.deepEqual(input.filter((line) => !seen.has(line)).slice(0, 5), []);
  });

  test("a log whose end is cut off, and one with a spoiled byte - told where it is damage, and the rest is there", async () => {
    using dir = tempDir();
    const random = seed("cut and spoiled");
    const data = dir.file("data");
    const input = Array.from({ length: 1000 }, (_, i) => `line ${i + 1}`);
    const put = async () => {
      using broker = start(["queue", "serve", "amqp://127.0.0.1:0", "--data", data]);
      const url = await broker.readyEndpoint();
      const { code, stderr } = await run(["queue", "put", "q", "--url", url], {
        stdin: `${input.join("\n")}\n`,
      });
      assert.equal(code, 0, stderr);
      broker.kill("SIGKILL");
      await broker.exit();
      return `${data}/${fs.readdirSync(data).filter((name) => name.endsWith(".log")).sort().at(-1)}`;
    };
    const get = async () => {
      const { code, stdout, stderr } = await run(["queue", "get", "q", "--data", data, "--drain"]);
      assert.equal(code, 0, stderr);
      return { lines: stdout.toString().split("\n").slice(0, -1), stderr };
    };
    const whole = await put();
    const { size } = fs.statSync(whole);
    fs.truncateSync(whole, size - 1 - Math.floor(random() * size / 2));
    const cut = await get();
    assert.deepEqual(cut.lines, input.slice(0, cut.lines.length));
    assert.ok(cut.lines.length > 400 && cut.lines.length < 1000, `${cut.lines.length}`);

    const log = await put();
    const bytes = fs.readFileSync(log);
    bytes[bytes.indexOf("line 500")]! ^= 1;
    fs.writeFileSync(log, bytes);
    const spoiled = await get();
    assert.deepEqual(spoiled.lines, input.filter((line) => line !== "line 500"));
    assert.match(spoiled.stderr, /damaged/);
  });
});
