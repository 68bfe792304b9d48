/**
 * Kills brokers and commands with SIGKILL at random moments. `MQCAT_SEED` repeats the random choices of a run, and
 * `MQCAT_ROUNDS` makes it longer.
 */
import assert from "node:assert/strict";
import fs from "node:fs";
import process from "node:process";
import { describe } from "node:test";
import { tempDir, waitFor } from "../support/helpers.ts";
import { PATIENCE, run, start, summaryOf, test } from "../support/mqcat.ts";
import { freePort } from "../support/ports.ts";
import { Ledger, seeded } from "./queue_ledger.ts";

/** Rounds of each mode on each target (Deno, Bun, binary). By default 54 rounds in total. */
const ROUNDS = Number(process.env["MQCAT_ROUNDS"] ?? 9);
/** The largest number of messages before a kill, and the largest delay after them, in milliseconds. */
const EVENTS = 2000;
const AFTER_MS = 5;

const SEED = Number(process.env["MQCAT_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

function seed(name: string): () => number {
  console.log(`${name}: MQCAT_SEED=${SEED}`);
  return seeded(SEED);
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe("kill -9", () => {
  for (const sync of ["confirm", "flush"]) {
    test(`queue serve --sync ${sync} - loses no confirmed message, and redelivers no acknowledged one`, async () => {
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
          await pause(random() * AFTER_MS);
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

  test("the broker of queue put and queue get - both continue with the next one, and every line arrives", async () => {
    using dir = tempDir();
    const random = seed("put and get");
    const port = await freePort();
    const url = ["--url", `amqp://127.0.0.1:${port}`];
    const serve = async () => {
      const broker = start(["queue", "serve", `:${port}`, "--data", dir.file("data")]);
      await broker.readyEndpoint();
      return broker;
    };
    const input = Array.from({ length: 30_000 }, (_, i) => `line ${i + 1}`);
    let broker = await serve();
    try {
      using put = start(["queue", "put", "--declare", "q", "--summary", ...url], {
        stdin: `${input.join("\n")}\n`,
        open: true,
      });
      using get = start(["queue", "get", "q", "--declare", ...url]);
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

  test("queue put --data - keeps confirmed messages of an earlier put and the first part of this one", async () => {
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

  test("queue get --data - each line was printed by a killed command, or is still in the queue", async () => {
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
      // The last line may be incomplete; then it was not acknowledged.
      for (const line of fs.readFileSync(dir.file(`out${round}`), "utf8").split("\n").slice(0, -1)) {
        seen.add(line);
      }
    }
    const { code, stdout, stderr } = await run(["queue", "get", "q", "--data", data, "--drain"]);
    assert.equal(code, 0, stderr);
    for (const line of stdout.toString().split("\n").slice(0, -1)) seen.add(line);
    assert.deepEqual(input.filter((line) => !seen.has(line)).slice(0, 5), []);
  });

  test("a truncated log, and a log with a corrupt byte - damage is reported, and the rest is kept", async () => {
    using dir = tempDir();
    const random = seed("cut and spoiled");
    const data = dir.file("data");
    const input = Array.from({ length: 1000 }, (_, i) => `line ${i + 1}`);
    const put = async () => {
      using broker = start(["queue", "serve", "amqp://127.0.0.1:0", "--data", data]);
      const url = await broker.readyEndpoint();
      const { code, stderr } = await run(["queue", "put", "--declare", "q", "--url", url], {
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
